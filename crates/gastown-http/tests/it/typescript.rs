//! The official clients, versions 10 and 11, with each of their links for queries and mutations.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use tokio::process::Command;

use crate::{
    fake_towns::FakeTowns,
    world::{ALICE, BOB, parts, serve},
};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/typescript")
}

pub(crate) fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!("cannot run `{program}` ({error}): install Node.js 20 or later with npm, `apt-get install nodejs npm`")
}

async fn check(arguments: &[&str]) -> Output {
    let mut node = Command::new("node");
    node.arg("check.mjs").args(arguments).current_dir(folder()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), node.output()).await.expect("the check hangs");
    output.unwrap_or_else(|error| missing("node", &error))
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Installs the clients from the lock file, once. The file lock is for test runners with a process per test.
pub(crate) fn install() {
    let folder = folder();
    let lock_file = folder.join("package-lock.json");
    let held = File::open(&lock_file).unwrap();
    held.lock().unwrap();
    let written = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    // npm writes this file at the end, so that an incomplete installation is repeated.
    if written(&folder.join("node_modules/.package-lock.json")) >= written(&lock_file) {
        return;
    }
    let output = std::process::Command::new("npm").args(["ci", "--no-progress"]).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| missing("npm", &error));
    assert!(output.status.success(), "npm ci failed:\n{}", text(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn official_clients_complete_the_life_of_a_town() {
    install();
    let server = serve(parts(FakeTowns::default())).await;
    let url = server.url("/trpc");
    let output = check(&["--url", &url, "--token", ALICE, "--other-token", BOB]).await;
    let printed = text(&output);
    assert!(output.status.success(), "{printed}");
    for link in ["v11 httpLink", "v11 httpBatchLink", "v11 httpBatchStreamLink", "v10 httpLink", "v10 httpBatchLink"] {
        let destroyed = format!("ok    {link}: a destroyed town is NOT_FOUND and not listed");
        assert!(printed.contains(&destroyed), "{link} did not complete:\n{printed}");
    }
}

#[tokio::test]
async fn check_fails_if_the_server_does() {
    install();
    let server = serve(parts(FakeTowns::default())).await;
    let output = check(&["--url", &server.url("/trpc"), "--token", "not-a-token"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_link_delivers_values_with_their_ids() {
    install();
    let server = serve(parts(FakeTowns::default())).await;
    let input = serde_json::json!({"townName": "mill"});
    let (_, town) = crate::world::call(&server, http::Method::POST, "gastown.createTown", ALICE, &input).await;
    let town = town["result"]["data"]["townId"].as_str().unwrap().to_owned();
    let watch = async |token: &str, town: &str| {
        let mut node = Command::new("node");
        node.args([
            "watch.mjs",
            "--url",
            &server.url("/trpc"),
            "--token",
            token,
            "--town",
            town,
            "--stop-at",
            "present",
        ]);
        node.current_dir(folder()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(60), node.output()).await.expect("the watcher hangs");
        let output = output.unwrap_or_else(|error| missing("node", &error));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
    };
    let value = watch(ALICE, &town).await;
    assert_eq!((&value["change"], &value["message"]), (&"present".into(), &"The town is running".into()), "{value}");
    assert!(value["id"].as_str().is_some_and(|id| id.starts_with("1.")), "{value}");
    assert_eq!(watch("not-a-token", &town).await["error"], "UNAUTHORIZED");
    assert_eq!(watch(BOB, &town).await["error"], "NOT_FOUND");
}
