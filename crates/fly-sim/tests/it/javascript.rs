//! The JavaScript of the pages, which Node.js runs.

use fly_sim::FlySim;
use tokio::process::Command;

use crate::pages::{blocks, page, run};

#[tokio::test]
async fn javascript_of_the_pages_runs() {
    for block in blocks(&page("../../docs/fly-sim/offline-tests.md"), "js") {
        let sim = FlySim::builder().app("mill").start().await.unwrap();
        let mut node = Command::new("node");
        node.args(["--input-type=module", "--eval", &block]).env("FLY_BASE_URL", sim.url()).env_remove("http_proxy");
        run(node).await;
    }
}
