//! The official tRPC clients, versions 10 and 11, with every link, against the whole control plane.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::stage::{ALICE, BOB, Setup, Stage};

on_both! {
    official_clients_complete_the_life_of_a_town,
}

/// Returns the folder of the check, which belongs to the tests of the adapter.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gastown-http/tests/typescript")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Installs the clients if they are missing or older than their lock file. Concurrent tests and processes wait for a lock
/// on that file.
pub(crate) fn install() {
    let lock_file = folder().join("package-lock.json");
    let held = File::open(&lock_file).unwrap();
    held.lock().unwrap();
    let age = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    // npm writes this file at the end.
    if age(&folder().join("node_modules/.package-lock.json")) < age(&lock_file) {
        let output = Command::new("npm").args(["ci", "--no-progress"]).current_dir(folder()).output();
        let output = output.expect("npm is missing: `apt-get install nodejs npm`");
        assert!(output.status.success(), "npm ci failed:\n{}", printed(&output));
    }
}

async fn official_clients_complete_the_life_of_a_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    tokio::task::spawn_blocking(install).await.unwrap();
    let mut node = tokio::process::Command::new("node");
    node.arg("check.mjs").current_dir(folder()).kill_on_drop(true);
    node.args(["--url", &format!("{}/trpc", stage.url()), "--wait-seconds", "30"]);
    node.args(["--token", stage.token(ALICE), "--other-token", stage.token(BOB)]);
    let output = node.output().await.expect("node is missing: `apt-get install nodejs npm`");
    let printed = printed(&output);
    assert!(output.status.success(), "{printed}");
    for link in ["v11 httpLink", "v11 httpBatchLink", "v11 httpBatchStreamLink", "v10 httpLink", "v10 httpBatchLink"] {
        assert!(printed.contains(&format!("ok    {link}: destroyTown destroys")), "{link}:\n{printed}");
    }
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}
