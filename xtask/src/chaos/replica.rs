//! A `gastown serve` process that can be killed and started again on the same port.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use crate::gastown;
use crate::process_group::ProcessGroup;

/// For a graceful shutdown at the end of the run.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Below the range of outgoing connections, so that a port stays free while its replica is down.
const PORTS: std::ops::Range<u16> = 18_000..30_000;

/// The key of panics among the counted errors.
pub(super) const PANIC: &str = "a panic";

/// One of the replicas.
pub(super) struct Replica {
    port: u16,
    settings: Vec<(String, String)>,
    log: PathBuf,
    running: Option<Running>,
}

struct Running {
    process: ProcessGroup,
    /// The position in the log at which this process began to write.
    log_start: u64,
}

/// The end of a process that was not killed.
pub(super) enum Ended {
    /// It ended before it served, as it does without a database.
    BeforeServing,
    /// It had served, under this name. That is always a failure.
    Crashed(String),
}

impl Replica {
    /// Creates a replica that is not started yet.
    pub(super) fn new(port: u16, settings: Vec<(String, String)>, log: PathBuf) -> Self {
        Self { port, settings, log, running: None }
    }

    /// Starts a process, which appends to the log of its predecessors.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let log_start = log.metadata()?.len();
        let mut command = gastown::command()?;
        command.arg("serve").envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.env("PORT", self.port.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = ProcessGroup::start(command).context("cannot run gastown")?;
        self.running = Some(Running { process, log_start });
        Ok(())
    }

    /// Kills the process with SIGKILL. Returns its name in the rows, if it had begun to serve.
    pub(super) async fn kill(&mut self) -> Option<String> {
        let running = self.running.take()?;
        running.process.kill().await;
        worker_in(&self.log, running.log_start)
    }

    /// Freezes the process with SIGSTOP, or continues it.
    pub(super) fn set_frozen(&self, is_frozen: bool) {
        if let Some(running) = &self.running {
            running.process.set_frozen(is_frozen);
        }
    }

    /// Returns true if the process has begun to serve.
    pub(super) fn is_serving(&self) -> bool {
        self.running.as_ref().is_some_and(|running| worker_in(&self.log, running.log_start).is_some())
    }

    /// Stops the process gracefully.
    pub(super) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.stop(STOP_TIMEOUT).await;
        }
    }

    pub(super) fn is_started(&self) -> bool {
        self.running.is_some()
    }

    /// Returns how the process ended on its own, if it did. The replica then counts as not started.
    pub(super) fn take_ended(&mut self) -> Option<Ended> {
        self.running.as_mut()?.process.ended()?;
        let running = self.running.take()?;
        Some(worker_in(&self.log, running.log_start).map_or(Ended::BeforeServing, Ended::Crashed))
    }

    /// Counts the errors in the log by message, including those of earlier processes.
    pub(super) fn errors(&self) -> BTreeMap<String, u64> {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().filter_map(error_of).fold(BTreeMap::new(), |mut errors, error| {
            *errors.entry(error).or_default() += 1;
            errors
        })
    }

    /// Returns true if the replica answers and reaches its database.
    pub(super) async fn is_ready(&self, http: &reqwest::Client) -> bool {
        let answer = http.get(format!("{}/readyz", url_of(self.port))).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Returns the address of a replica.
pub(super) fn url_of(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// Returns free ports. The search starts at a port that depends on the seed.
pub(super) fn free_ports(count: u16, seed: u64) -> anyhow::Result<Vec<u16>> {
    let span = u64::from(PORTS.end - PORTS.start);
    let after = PORTS.start + u16::try_from(seed % span).unwrap_or_default();
    let candidates = (after..PORTS.end).chain(PORTS.start..after);
    let free = candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let free: Vec<u16> = free.take(usize::from(count)).collect();
    anyhow::ensure!(free.len() == usize::from(count), "no free ports between {} and {}", PORTS.start, PORTS.end);
    Ok(free)
}

/// Returns the name in the rows of the process that logs from this position on.
fn worker_in(log: &Path, from: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(worker_of)
}

fn worker_of(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["message"] == "server started").then(|| event["worker"].as_str().map(str::to_owned))?
}

/// Returns the message of an `ERROR` event, or [`PANIC`].
fn error_of(line: &str) -> Option<String> {
    match serde_json::from_str::<Value>(line) {
        Ok(event) => (event["level"] == "ERROR").then(|| event["message"].as_str().unwrap_or("?").to_owned()),
        Err(_no_event) => line.contains("panicked at").then(|| PANIC.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_is_read_from_its_first_log_event() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let earlier = "{\"message\":\"server started\",\"worker\":\"dead\"}\n";
        let now = "cannot be read\n{\"message\":\"swept\",\"worker\":\"x\"}\n{\"message\":\"server started\",\"worker\":\"w1\"}\n{\"half";
        std::fs::write(&log, format!("{earlier}{now}")).unwrap();
        assert_eq!(worker_in(&log, earlier.len() as u64).as_deref(), Some("w1"));
        assert_eq!(worker_in(&log, (earlier.len() + now.len()) as u64), None);
    }

    #[test]
    fn errors_and_panics_in_the_log_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let lines = "{\"level\":\"INFO\",\"message\":\"a\"}\n{\"level\":\"ERROR\",\"message\":\"b\"}\nthread 'x' panicked at y\n\
                     gastown: cannot start\n{\"level\":\"ERROR\",\"message\":\"b\"}";
        std::fs::write(&log, lines).unwrap();
        let errors = Replica::new(0, Vec::new(), log).errors();
        assert_eq!(errors.into_iter().collect::<Vec<_>>(), [(PANIC.to_owned(), 1), ("b".to_owned(), 2)]);
    }

    #[test]
    fn ports_are_free_and_below_those_of_outgoing_connections() {
        let taken = free_ports(1, 0).unwrap()[0];
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).unwrap();
        let found = free_ports(3, u64::from(taken - PORTS.start)).unwrap();
        assert_eq!(found.len(), 3);
        assert!(!found.contains(&taken));
        assert!(found.iter().all(|port| PORTS.contains(port)));
    }
}
