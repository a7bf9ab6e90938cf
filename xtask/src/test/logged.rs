//! Programs whose output goes to a file while a line shows their progress.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::excerpt::last_line;
use crate::interrupt::Interrupt;
use crate::process_group::ProcessGroup;
use crate::progress::watched;

/// Longer than any step. A test that hangs must not block a runner.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// For a build or a test runner to end its children.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval of progress lines in a log.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);
/// Bytes at the end of the log that are read for its last line.
const TAIL: u64 = 4096;

/// The result of a program.
pub(crate) struct Logged {
    pub(crate) succeeded: bool,
    /// Everything it printed.
    pub(crate) text: String,
}

/// Runs a program and returns its output. After an interrupt or the timeout, it is stopped with all its children.
pub(crate) async fn run(command: Command, log: &Path, title: &str, interrupt: &Interrupt) -> anyhow::Result<Logged> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut program = ProcessGroup::start(command).context("cannot start the program")?;

    let end = async {
        tokio::select! {
            status = program.wait() => End::Exited(status),
            () = interrupt.wait() => End::Interrupted,
            () = tokio::time::sleep(TIMEOUT) => End::TimedOut,
        }
    };
    let end = watched(title, PROGRESS_INTERVAL, || last_line(&tail(log)).to_owned(), end).await;
    let (succeeded, remark) = match end {
        End::Exited(status) => (status?.success(), ""),
        End::Interrupted => {
            program.stop(STOP_TIMEOUT).await;
            bail!("interrupted")
        }
        End::TimedOut => {
            program.stop(STOP_TIMEOUT).await;
            (false, "\nstopped: timed out after an hour\n")
        }
    };
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned() + remark;
    Ok(Logged { succeeded, text })
}

enum End {
    Exited(std::io::Result<std::process::ExitStatus>),
    Interrupted,
    TimedOut,
}

/// Reads the end of a log that is being written. Returns an empty text if it cannot be read.
fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Logged {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let interrupt = Interrupt::listen().unwrap();
        run(command, &folder.path().join("log"), "a script", &interrupt).await.unwrap()
    }

    #[tokio::test]
    async fn both_outputs_and_the_exit_status_are_returned() {
        let good = shell("echo one; echo two >&2").await;
        assert!(good.succeeded);
        assert_eq!(good.text, "one\ntwo\n");
        assert!(!shell("exit 3").await.succeeded);
    }
}
