//! The binary `gastown`: built, found, and run with nothing of our environment that it could take for its settings.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;
use tokio::process::Command;

use crate::cargo::cargo;
use crate::workspace;

/// All it is told of our environment. Whoever has `gastown`'s settings there means another control plane, perhaps on
/// the real Fly: this one shall know neither its secrets nor its machines.
const PASSED_ON: &[&str] = &["PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", "RUST_LOG", "RUST_BACKTRACE"];
/// Of the database's own client, for a database that the user names.
const PASSED_ON_PREFIX: &str = "PG";

/// Builds it, in sight.
pub(crate) async fn build() -> anyhow::Result<()> {
    let mut build = Command::from(cargo());
    let build = build.args(["build", "--package", "gastown-server"]).kill_on_drop(true);
    ensure!(build.status().await.context("cannot run cargo")?.success(), "`gastown` does not build");
    Ok(())
}

/// It, with an environment in which no setting is.
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
