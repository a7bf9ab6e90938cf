use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::account::Account;

/// A shell script that runs the server as a child and watches its own standard input, a pipe from this process.
///
/// When this process ends in any way (a static is never dropped, a panic, a kill), the system closes the pipe. The shell
/// then stops the server and removes its directory. It has a process group of its own, so it does not receive Ctrl-C.
///
/// A line on the pipe crashes the server with the given signal, and the next one starts it again. The file [`DOWN`] exists in
/// between.
const SCRIPT: &str = r#"
directory=$1
signal=$2
shift 2
exec 3<&0
while :; do
    "$@" </dev/null 3<&- &
    server=$!
    { read -r _ <&3 && : >"$directory/crashing"; kill -"$signal" "$server"; } 2>/dev/null &
    watcher=$!
    wait "$server"
    kill "$watcher" 2>/dev/null
    mv "$directory/crashing" "$directory/down" 2>/dev/null || break
    read -r _ <&3 || break
    rm "$directory/down"
done
rm -rf "$directory"
"#;

/// The file in the directory that exists while the server is down after a requested crash.
pub(crate) const DOWN: &str = "down";

/// The signal that ends a server at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EndBy {
    /// `SIGQUIT`, which makes Postgres end without a checkpoint. Programs without a handler ignore it.
    Quit,
    /// `SIGTERM`.
    Term,
}

impl EndBy {
    fn name(self) -> &'static str {
        match self {
            Self::Quit => "QUIT",
            Self::Term => "TERM",
        }
    }
}

/// A running server. Dropping it stops the server and removes its directory.
pub(crate) struct Supervisor {
    shell: Child,
    log: File,
}

impl Supervisor {
    pub(crate) fn start(
        directory: &Path,
        account: Option<Account>,
        end_by: EndBy,
        server: &Path,
        arguments: &[&str],
    ) -> std::io::Result<Self> {
        let log = tempfile::tempfile()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "sh"]).arg(directory).arg(end_by.name()).arg(server).args(arguments);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        command.current_dir("/").process_group(0);
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        Ok(Self { shell: command.spawn()?, log })
    }

    /// Crashes a running server, or starts a crashed one.
    pub(crate) fn toggle(&mut self) -> std::io::Result<()> {
        match &mut self.shell.stdin {
            Some(pipe) => pipe.write_all(b"\n"),
            None => Ok(()), // only during the drop
        }
    }

    /// Returns true if the server has ended without a request.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }

    /// Returns the output of the server so far.
    pub(crate) fn log(&mut self) -> String {
        let mut text = String::new();
        let read = self.log.seek(SeekFrom::Start(0)).and_then(|_| self.log.read_to_string(&mut text));
        if read.is_err() {
            text.push_str("(unreadable)");
        }
        text
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _status = self.shell.wait();
    }
}
