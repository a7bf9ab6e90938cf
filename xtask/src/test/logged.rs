//! Programs whose output goes to a file while a line shows that they go on.

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

/// No step takes as long; a test that hangs must not hold a runner for ever.
const DEADLINE: Duration = Duration::from_secs(60 * 60);
/// What a build or a test runner needs to end its own children.
const PATIENCE: Duration = Duration::from_secs(10);
/// A log without news looks dead.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// How much of the log's end is read for its last line.
const TAIL: u64 = 4096;

/// How a program ended.
pub(super) struct Logged {
    pub(super) succeeded: bool,
    /// Everything it printed.
    pub(super) text: String,
}

/// Runs the program to its end; interrupted or too late, it is ended with everything it started.
pub(super) async fn run(command: Command, log: &Path, title: &str, interrupt: &Interrupt) -> anyhow::Result<Logged> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut program = ProcessGroup::start(command).context("cannot start it")?;

    let end = async {
        tokio::select! {
            status = program.wait() => End::Itself(status),
            () = interrupt.wait() => End::Interrupted,
            () = tokio::time::sleep(DEADLINE) => End::TooLate,
        }
    };
    let end = watched(title, SIGN_OF_LIFE, || last_line(&tail(log)).to_owned(), end).await;
    let (succeeded, remark) = match end {
        End::Itself(status) => (status?.success(), ""),
        End::Interrupted => {
            program.stop(PATIENCE).await;
            bail!("interrupted")
        }
        End::TooLate => {
            program.stop(PATIENCE).await;
            (false, "\nstopped: it did not end within an hour\n")
        }
    };
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned() + remark;
    Ok(Logged { succeeded, text })
}

enum End {
    Itself(std::io::Result<std::process::ExitStatus>),
    Interrupted,
    TooLate,
}

/// The end of a log that is being written; nothing where it cannot be read.
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
    async fn both_outputs_and_the_end_are_known() {
        let good = shell("echo one; echo two >&2").await;
        assert!(good.succeeded);
        assert_eq!(good.text, "one\ntwo\n");
        assert!(!shell("exit 3").await.succeeded);
    }
}
