use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

#[tokio::test]
async fn program_serves_machines_with_sandboxes() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_gastown-fly-sim"))
        .args(["serve", "--listen", "127.0.0.1:0", "--timing", "instant", "--app", "mill"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let fault = json!({ "call": "SandboxHealth", "effect": { "kind": "drop_request" } });
    let known = http.post(format!("{}/_sim/faults", url.trim())).json(&fault).send().await;
    kill(Pid::from_raw(program.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(program.wait().unwrap().success(), "exit status");
    assert_eq!(known.unwrap().status(), 201);
}
