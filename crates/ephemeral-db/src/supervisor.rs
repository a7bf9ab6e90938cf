use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::account::Account;

/// Runs the server as a child of a shell that waits for the end of its standard input, which only we hold open.
///
/// However this process ends (a static that is never dropped, a panic, a kill), the system closes the pipe; the shell
/// then stops the server and removes its directory. It has a process group of its own, so that Ctrl-C reaches us first.
///
/// A line on the pipe asks for a crash, the next one for a new start; the file [`DOWN`] lies there in between.
const SCRIPT: &str = r#"
directory=$1
shift
exec 3<&0
while :; do
    "$@" </dev/null 3<&- &
    server=$!
    { read -r _ <&3 && : >"$directory/asked"; kill -QUIT "$server"; } 2>/dev/null &
    watcher=$!
    wait "$server"
    kill "$watcher" 2>/dev/null
    mv "$directory/asked" "$directory/down" 2>/dev/null || break
    read -r _ <&3 || break
    rm "$directory/down"
done
rm -rf "$directory"
"#;

/// Lies in the directory while the server is down because it was asked to crash.
pub(crate) const DOWN: &str = "down";

/// A running server; dropping it stops the server and removes its directory.
pub(crate) struct Supervisor {
    shell: Child,
    log: File,
}

impl Supervisor {
    pub(crate) fn start(
        directory: &Path,
        account: Option<Account>,
        server: &Path,
        arguments: &[&str],
    ) -> std::io::Result<Self> {
        let log = tempfile::tempfile()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "sh"]).arg(directory).arg(server).args(arguments);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        command.current_dir("/").process_group(0);
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        Ok(Self { shell: command.spawn()?, log })
    }

    /// Asks for the crash of a server that runs, or for the start of one that has crashed.
    pub(crate) fn ask(&mut self) -> std::io::Result<()> {
        match &mut self.shell.stdin {
            Some(pipe) => pipe.write_all(b"\n"),
            None => Ok(()), // only while it is dropped
        }
    }

    /// Whether the server has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }

    /// What the server has printed so far.
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
        let _ended = self.shell.wait();
    }
}
