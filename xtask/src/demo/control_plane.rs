use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;

use super::announcement::Announcement;
use super::story::USER;
use crate::gastown;
use crate::process_group::ProcessGroup;

/// From the start of the process to its first line. It migrates a database in between.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// For a graceful shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Lines of the log that are shown after a failure.
const SHOWN: usize = 40;

/// A running `gastown dev` with a simulated Fly inside.
pub(super) struct ControlPlane {
    process: ProcessGroup,
    announcement: Announcement,
    /// The working and temporary folder of the process, removed with all that is left in it.
    folder: TempDir,
}

impl ControlPlane {
    /// Starts it, waits until it is ready, and returns it with its address.
    pub(super) async fn start(database: Option<&str>) -> anyhow::Result<(Self, String)> {
        let folder = tempfile::Builder::new().prefix("gastown-demo-").tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = gastown::command()?;
        command.args(["dev", "--user", USER, "--json"]).current_dir(folder.path());
        // A wedged sandbox is noticed within seconds.
        command.env("MONITOR_SECONDS", "2");
        command.env("TMPDIR", folder.path()).envs(database.map(|url| ("DATABASE_URL", url)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut process = ProcessGroup::start(command).context("cannot run gastown")?;
        let stdout = process.take_stdout().context("gastown has no standard output")?;
        match tokio::time::timeout(READY_TIMEOUT, first_line(stdout)).await {
            Ok(Ok(line)) => {
                let announcement = Announcement::parse(&line)?;
                let seen = format!("{} on {}", announcement.url, database.map_or("SQLite", kind_of));
                Ok((Self { process, announcement, folder }, seen))
            }
            Ok(Err(error)) => Err(error).with_context(|| format!("gastown ended:\n{}", tail(&folder))),
            Err(_too_late) => bail!("gastown is not ready after {} s:\n{}", READY_TIMEOUT.as_secs(), tail(&folder)),
        }
    }

    pub(super) fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// Returns the last lines of the log, and whether the process still runs.
    pub(super) fn log_tail(&mut self) -> String {
        let log = tail(&self.folder);
        match self.process.ended() {
            Some(status) => format!("{log}\ngastown ended: {status}"),
            None => format!("{log}\ngastown is still running"),
        }
    }

    /// Stops the process and removes its files.
    pub(super) async fn stop(self) -> anyhow::Result<((), String)> {
        self.process.stop(STOP_TIMEOUT).await;
        self.folder.close().context("cannot remove the temporary folder of gastown")?;
        Ok(((), "stopped, files removed".to_owned()))
    }
}

/// Returns only the scheme, because the rest of a database URL may hold a password.
fn kind_of(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

/// Reads the first line. A task reads and drops the rest, so that the program can go on writing.
async fn first_line(stdout: ChildStdout) -> anyhow::Result<String> {
    let mut lines = BufReader::new(stdout).lines();
    let first = lines.next_line().await?.context("gastown printed nothing")?;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(first)
}

fn tail(folder: &TempDir) -> String {
    let log = std::fs::read(folder.path().join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_database_is_not_shown() {
        assert_eq!(kind_of("postgres://me:secret@localhost/towns"), "postgres");
    }
}
