//! The example of a dashboard, against `gastown dev` in Chromium. It runs where Node.js and Chromium are installed.

use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::Command;

use crate::process::Gastown;

/// The places of Debian's Chromium, and of the variable that names another.
fn chromium() -> Option<PathBuf> {
    let given = std::env::var_os("CHROMIUM").map(PathBuf::from);
    given.into_iter().chain([PathBuf::from("/usr/bin/chromium")]).find(|path| path.is_file())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/dashboard")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeds(program: &str, arguments: &[&str]) {
    let output = Blocking::new(program).args(arguments).current_dir(folder()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}:\n{}", text(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboard_leads_a_town_through_its_life() {
    let Some(chromium) = chromium() else { return };
    succeeds("npm", &["ci", "--no-progress"]);
    succeeds("node", &["node_modules/typescript/bin/tsc", "--noEmit"]);
    let home = tempfile::tempdir().unwrap();
    let settings = vec![("TMPDIR".to_owned(), home.path().to_str().unwrap().to_owned())];
    let mut service = Gastown::spawn(&["dev", "--user", "alice", "--json"], &settings);
    let announced: Value = serde_json::from_str(&service.first_line().await).unwrap();
    let mut check = Command::new("node");
    check.arg("check.mjs").current_dir(folder()).env("CHROMIUM", chromium).kill_on_drop(true);
    check.env("GASTOWN_URL", announced["url"].as_str().unwrap());
    check.env("GASTOWN_TOKEN", announced["users"]["alice"]["token"].as_str().unwrap());
    let output =
        tokio::time::timeout(Duration::from_secs(240), check.output()).await.expect("the check hangs").unwrap();
    service.signal(Signal::SIGTERM);
    service.ended().await;
    assert!(output.status.success(), "{}", text(&output));
}
