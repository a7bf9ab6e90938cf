//! `cargo xtask dev [arguments]`: the control plane in the foreground, as a developer wants it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::Context;

use crate::cargo::cargo;

/// What `gastown dev` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments of `gastown dev`, such as `--user alice`; `--help` after `--` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds and becomes `gastown dev`: signals and the exit code are its own.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let error = cargo().args(["run", "--package", "gastown-server", "--", "dev"]).args(&args.arguments).exec();
    Err(error).context("cannot run cargo")
}
