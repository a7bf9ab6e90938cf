//! The example in the README: it runs, and the README quotes it.

use std::process::Stdio;
use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    fake_towns::FakeTowns,
    typescript::{folder, install, missing, text},
    world::{ALICE, parts, serve},
};

const EXAMPLE: &str = include_str!("../../../../docs/examples/client.mjs");
const README: &str = include_str!("../../../../README.md");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readme_client_completes_the_life_of_a_town() {
    install();
    let server = serve(parts(FakeTowns::default())).await;
    let mut node = Command::new("node");
    // Read from standard input, the module resolves packages in the folder with version 11 of the client.
    node.args(["--input-type=module", "-"]).current_dir(folder().join("v11")).kill_on_drop(true);
    node.env("GASTOWN_URL", server.url("")).env("GASTOWN_TOKEN", ALICE);
    node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = node.spawn().unwrap_or_else(|error| missing("node", &error));
    running.stdin.take().unwrap().write_all(EXAMPLE.as_bytes()).await.unwrap();
    let output = tokio::time::timeout(Duration::from_secs(60), running.wait_with_output()).await;
    let output = output.expect("the example hangs").unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed, "mill is running\nmill works on app\nmill is destroyed\n");
}

#[test]
fn readme_quotes_the_example() {
    assert!(README.contains(&format!("```js\n{EXAMPLE}```\n")), "README.md and docs/examples/client.mjs differ");
}
