//! The Go of the pages, which runs where Go is installed.

use std::fs;

use fly_sim::FlySim;
use tokio::process::Command;

use crate::pages::{blocks, page, run};

#[tokio::test]
async fn go_of_the_pages_runs() {
    if std::process::Command::new("go").arg("version").output().is_err() {
        return;
    }
    let programs = blocks(&page("../../docs/fly-sim/offline-tests.md"), "go");
    assert_eq!(programs.len(), 1);
    for program in programs {
        let sim = FlySim::builder().app("mill").start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("main.go"), program).unwrap();
        let mut go = Command::new("go");
        go.args(["run", "main.go"]).current_dir(&folder).env("FLY_FLAPS_BASE_URL", sim.url()).env_remove("http_proxy");
        run(go).await;
    }
}
