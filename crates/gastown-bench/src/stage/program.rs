//! The release binaries beside this one.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// The variables that are passed on. Settings in our environment belong to another control plane.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Returns a command for a binary of the same build, without settings from our environment. Dropping its process kills it.
pub(crate) fn command(name: &str) -> anyhow::Result<Command> {
    Ok(clean(Command::new(path(name)?)))
}

/// Returns such a command whose process has at most this many open files.
pub(super) fn limited_command(name: &str, max_open_files: u32) -> anyhow::Result<Command> {
    let mut command = Command::new("sh");
    // The shell is replaced, so that the process has the id of the binary.
    command.args(["-c", r#"ulimit -n "$1" && shift && exec "$@""#, "sh", &max_open_files.to_string()]);
    command.arg(path(name)?);
    Ok(clean(command))
}

fn path(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find this program")?;
    let program = own.with_file_name(name);
    ensure!(program.is_file(), "{} is not built; run `cargo xtask bench`", program.display());
    Ok(program)
}

fn clean(mut command: Command) -> Command {
    let passed_on =
        std::env::vars_os().filter(|(variable, _)| PASSED_ON.iter().any(|name| variable == OsStr::new(name)));
    command.env_clear().envs(passed_on).stdin(Stdio::null()).kill_on_drop(true);
    command
}
