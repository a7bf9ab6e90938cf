use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

#[tokio::test]
async fn program_prints_its_address_and_exits_on_sigterm() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fly-sim"))
        .args(["serve", "--listen", "127.0.0.1:0", "--timing", "instant", "--latency", "1", "--app", "mill"])
        .args(["--limits", "off", "--app-secret", "KEY=value", "--unchecked"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let app = http.get(format!("{}/v1/apps/mill", url.trim())).bearer_auth("token").send().await;
    kill(Pid::from_raw(program.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(program.wait().unwrap().success(), "exit status");
    assert_eq!(app.unwrap().status(), 200);
}
