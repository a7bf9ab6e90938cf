//! The example of a dashboard, against `gastown dev` in Chromium. It runs where Node.js and Chromium are installed.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::browser::{Browser, succeeds};
use crate::process::Gastown;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboard_leads_a_town_through_its_life() {
    let Some(browser) = Browser::install() else { return };
    succeeds("node", &["node_modules/typescript/bin/tsc", "--noEmit"]);
    let home = tempfile::tempdir().unwrap();
    let settings = vec![("TMPDIR".to_owned(), home.path().to_str().unwrap().to_owned())];
    let mut service = Gastown::spawn(&["dev", "--user", "alice", "--json"], &settings);
    let announced: Value = serde_json::from_str(&service.first_line().await).unwrap();
    let (url, token) = (&announced["url"], &announced["users"]["alice"]["token"]);
    let variables = [("GASTOWN_URL", url.as_str().unwrap()), ("GASTOWN_TOKEN", token.as_str().unwrap())];
    browser.run(Path::new("check.mjs"), &variables).await;
    service.signal(Signal::SIGTERM);
    service.ended().await;
}
