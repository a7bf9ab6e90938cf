//! The commands of `docs/quick-start.md`, `docs/console.md` and `docs/deploying.md`, run as they stand there.

use std::net::TcpListener;
use std::path::Path;

use tokio::process::Command;

use crate::stage::{ALICE, Setup, Stage};

const CONSOLE: &str = include_str!("../../../../docs/console.md");
const QUICK_START: &str = include_str!("../../../../docs/quick-start.md");
const DEPLOYING: &str = include_str!("../../../../docs/deploying.md");
/// The address of the console on the page.
const SHOWN: &str = "127.0.0.1:9465";

/// Returns the shell blocks of a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```sh\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0))
}

/// Runs a script with the settings of the stage. Returns its output.
async fn run(stage: &Stage, script: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_gastown")).parent().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-euc", script]).env_clear().env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", binary.display()));
    shell.envs(stage.settings.iter().cloned()).kill_on_drop(true);
    let output = shell.output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{out}{err}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_the_console_page_serve_and_read_it() {
    let stage = Setup::sqlite().start().await;
    let town = stage.running("mill").await;
    let [serve, read, names] = <[&str; 3]>::try_from(blocks(CONSOLE).collect::<Vec<_>>()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The server runs until the page is read, and `curl` waits for it.
    let serve = serve.replace("gastown serve\n", "PORT=0 gastown serve 2>/dev/null & server=$!\n");
    let read = read.replace("curl ", "curl -sS --noproxy '*' --fail --retry 100 --retry-connrefused --retry-delay 1 ");
    let script =
        format!("{serve}{read}kill $server; wait $server\n{names}").replace(SHOWN, &format!("127.0.0.1:{port}"));
    let shown = run(&stage, &script).await;
    assert!(shown.contains("\"townName\":\"mill\"") && shown.contains("CONSOLE_TOKENS=eve:"), "{shown}");
    assert_eq!(stage.rows.town(town.id).await.machine(), town.machine());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_of_the_quick_start_creates_a_town() {
    let stage = Setup::sqlite().start().await;
    let block = blocks(QUICK_START).find(|block| block.contains("curl")).unwrap();
    let exported = format!("export GASTOWN_URL={} GASTOWN_TOKEN={}\n", stage.url(), stage.token(ALICE));
    let shown = run(&stage, &(exported + &block.replace("curl ", "curl --noproxy '*' --fail "))).await;
    assert!(shown.contains("\"townName\":\"forge\"") && shown.contains("\"status\":\"running\""), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_the_deploying_page_play_a_life() {
    let stage = Setup::sqlite().start().await;
    let block = blocks(DEPLOYING).find(|block| block.contains("gastown smoke")).unwrap();
    let (user, address) = ("--user smoke ", "https://gastown-control-plane.fly.dev");
    assert!(block.contains(user) && block.contains(address), "{block}");
    let script = block.replace(user, &format!("--user {ALICE} ")).replace(address, stage.url());
    let shown = run(&stage, &script).await;
    assert!(shown.ends_with("All 6 steps succeeded.\n"), "{shown}");
}
