//! Sandboxes that are processes: a command of the shell runs in each machine.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use fly_sim::{Boot, Program, ProgramAnswer, ProgramCall, ProgramRequest, Workload, WorkloadError};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::calls::{self, SandboxCall};

/// The time from SIGINT to SIGKILL, as at Fly.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two looks at a process that ends.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs a command in each machine, with the machine's environment, `PORT`, and `DATA_DIR` for the volume.
///
/// The command must run in the foreground. Its standard error is that of this process, and its standard output is
/// discarded. A process that ends is not restarted; the proxy then answers 502.
#[derive(Debug)]
pub struct CommandSandboxes {
    command: String,
    passed_on: Vec<(String, String)>,
    volumes: TempDir,
}

impl CommandSandboxes {
    /// Creates a folder for the volumes, which is deleted on drop.
    ///
    /// Only `PATH` and `HOME` of `environment`, that of the caller, are passed on.
    pub fn new(command: String, environment: impl IntoIterator<Item = (String, String)>) -> io::Result<Self> {
        let volumes = tempfile::Builder::new().prefix("gastown-volumes-").tempdir()?;
        let passed_on = environment.into_iter().filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME")).collect();
        Ok(Self { command, passed_on, volumes })
    }

    /// Returns the value for the field `workload` of the simulator's settings.
    pub fn into_workload(self) -> Option<Arc<dyn Workload>> {
        Some(Arc::new(self))
    }

    fn data_of(&self, volume: Option<&str>, machine: &str) -> io::Result<PathBuf> {
        let folder = self.volumes.path().join(volume.unwrap_or(machine));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

impl Workload for CommandSandboxes {
    fn boot(&self, machine: Boot<'_>) -> Result<Option<Box<dyn Program>>, WorkloadError> {
        let data = self.data_of(machine.volume, machine.machine)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &self.command]).env_clear().envs(self.passed_on.iter().cloned()).envs(machine.env);
        command.env("PORT", address.port().to_string()).env("DATA_DIR", data).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Some(Box::new(Process { child: Some(child), address })))
    }

    fn classify(&self, method: &str, path: &str) -> ProgramCall {
        SandboxCall::parse(method, path).map_or(ProgramCall::OTHER, SandboxCall::kind)
    }

    fn kinds(&self) -> &[ProgramCall] {
        &calls::ALL
    }
}

/// A process group of the command. On drop it is ended as Fly ends a machine.
#[derive(Debug)]
struct Process {
    child: Option<Child>,
    address: SocketAddr,
}

impl Program for Process {
    fn answer(&mut self, _request: ProgramRequest<'_>) -> ProgramAnswer {
        ProgramAnswer::text(502, "connection refused")
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal(&child, Signal::SIGINT);
        // The simulator does not wait for a machine's process.
        thread::spawn(move || {
            let polls = KILL_TIMEOUT.as_millis() / POLL_INTERVAL.as_millis();
            for _ in 0..polls {
                if !matches!(child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(POLL_INTERVAL);
            }
            signal(&child, Signal::SIGKILL);
            drop(child.wait());
        });
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Ok(id) = i32::try_from(child.id()) {
        // A group that has ended cannot be signalled.
        let _gone = killpg(Pid::from_raw(id), signal);
    }
}
