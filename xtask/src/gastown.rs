//! The binary `gastown`, run without any setting from our environment.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;
use tokio::process::Command;

use crate::cargo::cargo;
use crate::workspace;

/// The variables that are passed on. Settings of `gastown` in our environment belong to another control plane, perhaps
/// on the real Fly, and must not reach this one.
const PASSED_ON: &[&str] = &["PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", "RUST_LOG", "RUST_BACKTRACE"];
/// The prefix of the variables of the Postgres client, for a database that the user names.
const PASSED_ON_PREFIX: &str = "PG";

/// Builds the binary and shows the output of cargo.
pub(crate) async fn build() -> anyhow::Result<()> {
    let mut build = Command::from(cargo());
    let build = build.args(["build", "--package", "gastown-server"]).kill_on_drop(true);
    ensure!(build.status().await.context("cannot run cargo")?.success(), "`gastown` does not build");
    Ok(())
}

/// Returns a command for the binary, with an environment that holds no setting.
pub(crate) fn command() -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed_on)));
    Ok(command)
}

fn binary() -> anyhow::Result<PathBuf> {
    let mut metadata = MetadataCommand::new();
    metadata.manifest_path(workspace::root().join("Cargo.toml")).no_deps();
    let target = metadata.exec().context("cargo metadata failed")?.target_directory;
    Ok(target.join("debug/gastown").into())
}

fn is_passed_on(name: &str) -> bool {
    PASSED_ON.contains(&name) || name.starts_with(PASSED_ON_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_another_control_plane_are_not_passed_on() {
        for name in ["FLY_API_TOKEN", "FLY_API_BASE_URL", "DATABASE_URL", "NEXTAUTH_SECRET", "SWEEP_SECONDS"] {
            assert!(!is_passed_on(name), "{name}");
        }
        for name in ["PATH", "HOME", "RUST_LOG", "PGPASSFILE"] {
            assert!(is_passed_on(name), "{name}");
        }
    }
}
