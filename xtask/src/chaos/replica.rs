//! A `gastown serve` that can be killed and started again, always on the same port.

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

/// For an orderly shutdown; what is cut off then is nobody's loss.
const PATIENCE: Duration = Duration::from_secs(15);
/// Below the range from which systems take ports for outgoing connections: nobody else has it while its replica is down.
const PORTS: std::ops::Range<u16> = 18_000..30_000;

/// What a panic is counted as among the errors.
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
    /// Where its own words begin in the log.
    said_from: u64,
}

/// The end of a process that nobody has killed.
pub(super) enum Ended {
    /// Before it served: without a database none begins.
    InVain,
    /// After it had served, under this name. There is no good reason for that.
    Crashed(String),
}

impl Replica {
    /// Not started yet.
    pub(super) fn new(port: u16, settings: Vec<(String, String)>, log: PathBuf) -> Self {
        Self { port, settings, log, running: None }
    }

    /// Starts it; what it logs comes below what its predecessors have logged.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let said_from = log.metadata()?.len();
        let mut command = gastown::command()?;
        command.arg("serve").envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.env("PORT", self.port.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = ProcessGroup::start(command).context("cannot run gastown")?;
        self.running = Some(Running { process, said_from });
        Ok(())
    }

    /// `kill -9`. Answers under which name it has claimed operations, where it has come so far as to claim any.
    pub(super) async fn kill(&mut self) -> Option<String> {
        let running = self.running.take()?;
        running.process.kill().await;
        worker_in(&self.log, running.said_from)
    }

    /// Asks it to end, and waits.
    pub(super) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.stop(PATIENCE).await;
        }
    }

    pub(super) fn is_started(&self) -> bool {
        self.running.is_some()
    }

    /// Whether and how it has ended by itself; it counts as not started from then on.
    pub(super) fn take_ended(&mut self) -> Option<Ended> {
        self.running.as_mut()?.process.ended()?;
        let running = self.running.take()?;
        Some(worker_in(&self.log, running.said_from).map_or(Ended::InVain, Ended::Crashed))
    }

    /// Errors in its log, by message, those of its predecessors included.
    pub(super) fn errors(&self) -> BTreeMap<String, u64> {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().filter_map(error_of).fold(BTreeMap::new(), |mut errors, error| {
            *errors.entry(error).or_default() += 1;
            errors
        })
    }

    /// Whether it answers and reaches its database.
    pub(super) async fn is_ready(&self, http: &reqwest::Client) -> bool {
        let asked = http.get(format!("{}/readyz", url_of(self.port))).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Where a replica is reached.
pub(super) fn url_of(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// Ports that nobody listens on; runs of different seeds look in different places.
pub(super) fn free_ports(count: u16, seed: u64) -> anyhow::Result<Vec<u16>> {
    let span = u64::from(PORTS.end - PORTS.start);
    let after = PORTS.start + u16::try_from(seed % span).unwrap_or_default();
    let candidates = (after..PORTS.end).chain(PORTS.start..after);
    let free = candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let free: Vec<u16> = free.take(usize::from(count)).collect();
    anyhow::ensure!(free.len() == usize::from(count), "no free ports between {} and {}", PORTS.start, PORTS.end);
    Ok(free)
}

/// What a process that has begun to log there calls itself in the rows it claims.
fn worker_in(log: &Path, from: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut said = Vec::new();
    file.read_to_end(&mut said).ok()?;
    String::from_utf8_lossy(&said).lines().find_map(worker_of)
}

fn worker_of(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["message"] == "serving").then(|| event["worker"].as_str().map(str::to_owned))?
}

/// What nobody should have to read: an event of the highest level, or a panic.
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
    fn a_process_is_known_by_what_it_says_when_it_begins_to_serve() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let earlier = "{\"message\":\"serving\",\"worker\":\"dead\"}\n";
        let now = "cannot be read\n{\"message\":\"swept\",\"worker\":\"x\"}\n{\"message\":\"serving\",\"worker\":\"w1\"}\n{\"half";
        std::fs::write(&log, format!("{earlier}{now}")).unwrap();
        assert_eq!(worker_in(&log, earlier.len() as u64).as_deref(), Some("w1"));
        assert_eq!(worker_in(&log, (earlier.len() + now.len()) as u64), None);
    }

    #[test]
    fn errors_and_panics_are_found_among_what_is_logged() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let lines = "{\"level\":\"INFO\",\"message\":\"a\"}\n{\"level\":\"ERROR\",\"message\":\"b\"}\nthread 'x' panicked at y\n\
                     gastown: cannot start\n{\"level\":\"ERROR\",\"message\":\"b\"}";
        std::fs::write(&log, lines).unwrap();
        let errors = Replica::new(0, Vec::new(), log).errors();
        assert_eq!(errors.into_iter().collect::<Vec<_>>(), [(PANIC.to_owned(), 1), ("b".to_owned(), 2)]);
    }

    #[test]
    fn ports_are_free_and_not_those_of_outgoing_connections() {
        let taken = free_ports(1, 0).unwrap()[0];
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).unwrap();
        let found = free_ports(3, u64::from(taken - PORTS.start)).unwrap();
        assert_eq!(found.len(), 3);
        assert!(!found.contains(&taken));
        assert!(found.iter().all(|port| PORTS.contains(port)));
    }
}
