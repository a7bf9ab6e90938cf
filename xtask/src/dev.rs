//! `cargo xtask dev [arguments]`: the control plane in the foreground, for development.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::Context;

use crate::cargo::cargo;

/// Options of `dev`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments of `gastown dev`, such as `--user alice`; `--help` after `--` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds `gastown` and replaces this process with `gastown dev`, which then gets the signals and sets the exit code.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let error = cargo().args(["run", "--package", "gastown-server", "--", "dev"]).args(&args.arguments).exec();
    Err(error).context("cannot run cargo")
}
