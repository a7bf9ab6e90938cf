//! The commands of `docs/disaster.md`, run as they stand there.

use std::path::Path;

use ephemeral_db::Cluster;
use tokio::process::Command;

use crate::stage::{Engine, Setup, Stage};

const PAGE: &str = include_str!("../../../../docs/disaster.md");

on_both! {
    commands_of_a_lost_registry_rebuild_it,
}

/// Returns the shell blocks of a section of the page.
fn blocks(section: &str) -> Vec<String> {
    let (_, rest) = PAGE.split_once(&format!("\n## {section}\n")).expect("no such section");
    let text = rest.split("\n## ").next().unwrap_or_default();
    let block = |rest: &str| rest.split_once("```").map(|(block, _)| block.to_owned());
    text.split("```sh\n").skip(1).filter_map(block).collect()
}

/// Runs a block in a folder, with the settings of the stage. Returns its output.
async fn run(stage: &Stage, block: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_gastown")).parent().unwrap();
    let dump = Cluster::program("pg_dump").expect("pg_dump is not installed");
    let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", binary.display(), dump.parent().unwrap().display());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-euc", block]).current_dir(folder).env_clear().env("PATH", path);
    shell.envs(stage.settings.iter().filter(|(name, _)| name.starts_with("FLY_")).cloned());
    shell.env("DATABASE_URL", stage.place.url());
    let output = shell.output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{block}\n{out}{err}");
    out.into_owned()
}

async fn commands_of_a_lost_registry_rebuild_it(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    crate::adopt::lose_registry(&stage).await;
    let folder = tempfile::tempdir().unwrap();
    let blocks = blocks("The registry is lost");
    assert_eq!(blocks.len(), 4);
    let mut printed = String::new();
    for block in blocks {
        printed += &run(&stage, &block, folder.path()).await;
    }
    for text in ["up to date", "Nothing was written", "written", "adopt", "No orphans.", "alice", town.machine()] {
        assert!(printed.contains(text), "{text}:\n{printed}");
    }
    assert_eq!(stage.rows.town(town.id).await.machine(), town.machine());
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_is_restored_by_the_commands_of_the_page() {
    let mut stage = Setup::on(Engine::Postgres).start().await;
    let town = stage.running("mill").await;
    stage.crash().await;
    let folder = tempfile::tempdir().unwrap();
    let [backup, restore] = <[String; 2]>::try_from(blocks("Back up and restore")).unwrap();
    run(&stage, &backup, folder.path()).await;
    crate::adopt::lose_registry(&stage).await;
    run(&stage, &restore, folder.path()).await;
    assert_eq!(stage.rows.town(town.id).await.machine(), town.machine());
}
