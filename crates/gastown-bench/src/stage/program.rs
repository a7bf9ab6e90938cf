//! The release binaries beside this one.

use std::ffi::OsStr;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// The variables that are passed on. Settings in our environment belong to another control plane.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Returns a command for a binary of the same build, without settings from our environment. Dropping its process kills it.
pub(super) fn command(name: &str) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("failed to find this program")?;
    let program = own.with_file_name(name);
    ensure!(program.is_file(), "{} is not built; run `cargo xtask bench`", program.display());
    let passed_on =
        std::env::vars_os().filter(|(variable, _)| PASSED_ON.iter().any(|name| variable == OsStr::new(name)));
    let mut command = Command::new(program);
    command.env_clear().envs(passed_on).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}
