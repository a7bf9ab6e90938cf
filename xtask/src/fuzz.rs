//! `cargo xtask fuzz`: builds and runs `gastown-fuzz`, or fuzzes the simulator of Fly.

mod answers;
mod exceptions;
mod fly_sim;
mod schemathesis;
mod world;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::process::Command;

use crate::cargo::cargo;

#[cfg(test)]
pub(crate) use schemathesis::PACKAGE as SCHEMATHESIS;

/// Options of `fuzz`, which are those of `gastown-fuzz`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Fuzzes `fly-sim` over HTTP instead. It must be the first option; `--fly-sim --help` explains the others.
    #[arg(long)]
    fly_sim: bool,
    /// `--target`, `--seconds` and `--seed`; `--help` explains them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    arguments: Vec<OsString>,
}

/// Builds with the checks of arithmetic that a release build omits, and runs at the root of the workspace.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.fly_sim {
        return fly_sim::run(args.arguments).await;
    }
    let mut fuzz = Command::from(cargo());
    fuzz.args(["run", "--quiet", "--package", "gastown-fuzz", "--"]).args(args.arguments).kill_on_drop(true);
    let status = fuzz.status().await.context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
