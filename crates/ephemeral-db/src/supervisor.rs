use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::account::Account;

/// Runs the server as a child of a shell that waits for the end of its standard input, which only we hold open.
///
/// However this process ends (a static that is never dropped, a panic, a kill), the system closes the pipe; the shell
/// then stops the server and removes its directory. It has a process group of its own, so that Ctrl-C reaches us first.
const SCRIPT: &str = r#"
directory=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ read -r _ <&3; kill -QUIT "$server"; } 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"
kill "$watcher" 2>/dev/null
rm -rf "$directory"
"#;

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
