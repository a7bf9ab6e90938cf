//! Programs that are ended together with all their children.

use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup as Leader};
use tokio::process::Command;

/// A running program in its own process group, so that Ctrl-C on the terminal reaches only us.
///
/// Dropping it kills what is left of the group. The crate's own kill on drop reaches only the leader.
pub(crate) struct ProcessGroup(Box<dyn ChildWrapper>);

impl ProcessGroup {
    pub(crate) fn start(command: Command) -> std::io::Result<Self> {
        CommandWrap::from(command).wrap(Leader::leader()).spawn().map(Self)
    }

    /// Takes the standard output of the program, if it is piped and was not taken before.
    pub(crate) fn take_stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.0.stdout().take()
    }

    /// Waits until the program ends.
    pub(crate) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.0.wait().await
    }

    /// Returns the exit status of the program, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Sends SIGTERM to the group and waits for its leader. After the timeout the group is killed.
    pub(crate) async fn stop(mut self, timeout: Duration) {
        self.send(Signal::SIGTERM);
        let _ended = tokio::time::timeout(timeout, self.0.wait()).await;
    }

    /// Kills the group with SIGKILL and waits for its leader.
    pub(crate) async fn kill(mut self) {
        self.send(Signal::SIGKILL);
        let _ended = self.0.wait().await;
    }

    /// Stops the group with SIGSTOP, or continues it.
    pub(crate) fn set_frozen(&self, is_frozen: bool) {
        self.send(if is_frozen { Signal::SIGSTOP } else { Signal::SIGCONT });
    }

    fn send(&self, signal: Signal) {
        // It fails if no process of the group is left.
        let _sent = self.0.signal(signal as i32);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.send(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdout(std::process::Stdio::piped());
        command
    }

    async fn first_line(program: &mut ProcessGroup) -> String {
        let mut lines = BufReader::new(program.take_stdout().unwrap()).lines();
        lines.next_line().await.unwrap().unwrap()
    }

    async fn end(pid: i32) {
        // A killed process is a zombie until its parent or init collects it.
        let gone = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        };
        let wait = async {
            while !gone() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the process is still running");
    }

    #[tokio::test]
    async fn a_dropped_program_takes_its_children_with_it() {
        let mut program = ProcessGroup::start(shell("sleep 600 & echo $!; wait")).unwrap();
        let grandchild: i32 = first_line(&mut program).await.parse().unwrap();
        drop(program);
        end(grandchild).await;
    }

    #[tokio::test]
    async fn a_program_that_ignores_sigterm_is_killed() {
        let mut program = ProcessGroup::start(shell("trap '' TERM; echo $$; while :; do sleep 600; done")).unwrap();
        let deaf: i32 = first_line(&mut program).await.parse().unwrap();
        program.stop(Duration::from_millis(50)).await;
        end(deaf).await;
    }
}
