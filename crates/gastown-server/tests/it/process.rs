//! The binary as a process, with only the given environment.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::stage::{TIMEOUT, until};

/// A running `gastown`, killed on drop.
pub(crate) struct Gastown {
    child: Child,
    out: Lines,
    err: Lines,
    reading: Vec<JoinHandle<()>>,
}

type Lines = Arc<Mutex<Vec<String>>>;

/// The output and the status of a process.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Gastown {
    pub(crate) fn spawn(arguments: &[&str], settings: &[(String, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gastown"));
        command.args(arguments);
        Self::start(command, settings)
    }

    /// Runs `serve` with this limit of file descriptors.
    pub(crate) fn serve_with_descriptors(limit: u32, settings: &[(String, String)]) -> Self {
        let mut command = Command::new("/bin/sh");
        let script = format!("ulimit -n {limit} && exec \"$0\" serve");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_gastown")]);
        Self::start(command, settings)
    }

    /// Starts a program with these settings and nothing else from our environment.
    pub(crate) fn start(mut command: Command, settings: &[(String, String)]) -> Self {
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (out, err) = (Lines::default(), Lines::default());
        let reading = vec![
            tokio::spawn(read(child.stdout.take().unwrap(), Arc::clone(&out))),
            tokio::spawn(read(child.stderr.take().unwrap(), Arc::clone(&err))),
        ];
        Self { child, out, err, reading }
    }

    /// Runs a command to its end.
    pub(crate) async fn run(arguments: &[&str], settings: &[(String, String)]) -> Ended {
        Self::spawn(arguments, settings).ended().await
    }

    /// Returns the id of the process, which must run.
    pub(crate) fn id(&self) -> i32 {
        self.child.id().expect("the process has ended").try_into().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id()), signal).unwrap();
    }

    /// Sends SIGKILL, so that the process cannot clean up.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().await.unwrap();
    }

    pub(crate) async fn ended(mut self) -> Ended {
        let ended = tokio::time::timeout(TIMEOUT, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("it does not end:\n{}", text(&self.err))).unwrap();
        for reading in self.reading.drain(..) {
            reading.await.unwrap();
        }
        Ended { status, out: text(&self.out), err: text(&self.err) }
    }

    /// Returns the first line of standard output.
    pub(crate) async fn first_line(&mut self) -> String {
        until("it prints a line", async || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended, {ended:?}:\n{}", text(&self.err));
            !self.out.lock().unwrap().is_empty()
        })
        .await;
        self.out.lock().unwrap()[0].clone()
    }

    /// Returns the address of `serve`, from its log.
    pub(crate) async fn served_url(&mut self) -> String {
        let mut url = None;
        until("it serves", async || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended, {ended:?}:\n{}", text(&self.err));
            url = self.err.lock().unwrap().iter().find_map(|line| {
                let event: Value = serde_json::from_str(line).ok()?;
                (event["message"] == "server started").then(|| format!("http://{}", event["address"].as_str().unwrap()))
            });
            url.is_some()
        })
        .await;
        url.unwrap()
    }

    /// Returns the log so far.
    pub(crate) fn err(&self) -> String {
        text(&self.err)
    }

    /// Returns standard output so far.
    pub(crate) fn out(&self) -> String {
        text(&self.out)
    }
}

async fn read(stream: impl AsyncRead + Unpin, lines: Lines) {
    let mut stream = BufReader::new(stream).lines();
    while let Ok(Some(line)) = stream.next_line().await {
        lines.lock().unwrap().push(line);
    }
}

fn text(lines: &Lines) -> String {
    lines.lock().unwrap().iter().fold(String::new(), |text, line| text + line + "\n")
}
