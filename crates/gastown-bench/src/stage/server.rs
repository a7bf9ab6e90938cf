//! The process under test: `gastown serve` with the settings of production.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::timeout;

use super::fly::{Fly, SHARED_APP};
use super::postgres::Database;
use super::program;
use super::users::{KEY_SECRET, TOKEN_SECRET};
use crate::measure::http1::Connection;
use crate::measure::process_tree::{forget_peak, peak_mib, resident_mib};
use crate::report;

/// From the start until the server answers that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The most that a graceful stop takes.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The apps in which towns are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    SharedApp,
    AppPerUser,
}

/// The surroundings of a server.
pub(crate) struct ServerSetup<'a> {
    /// The address of the database, and its name for the log.
    pub(crate) database: (&'a str, &'a str),
    pub(crate) fly: &'a Fly,
    pub(crate) placement: Placement,
    /// How often settled towns are compared with Fly, in seconds.
    pub(crate) inspect_seconds: u32,
    /// Settings beside those of every run, or instead of them.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// The limit of open files, or that of this program.
    pub(crate) max_open_files: Option<u32>,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// From the start of the process until it was ready.
    pub(crate) ready_after: Duration,
    log: PathBuf,
    id: u32,
    process: Child,
}

impl<'a> ServerSetup<'a> {
    /// Returns a setup in one shared app, in which settled towns are not compared during the run. Their health is checked once, at the start.
    pub(crate) fn new(database: &'a Database, fly: &'a Fly) -> Self {
        Self::on((&database.url, database.name), fly)
    }

    /// Returns the same setup on the database at an address.
    pub(crate) fn on(database: (&'a str, &'a str), fly: &'a Fly) -> Self {
        let (placement, inspect_seconds) = (Placement::SharedApp, 86_400);
        Self { database, fly, placement, inspect_seconds, settings: Vec::new(), max_open_files: None }
    }

    /// Starts a server and waits until it is ready.
    pub(crate) async fn start(&self) -> anyhow::Result<Server> {
        let address = free_address()?;
        let log = log_file(self.database.1)?;
        let mut command = match self.max_open_files {
            None => program::command("gastown")?,
            Some(limit) => program::limited_command("gastown", limit)?,
        };
        command.arg("serve").envs(self.settings(address)).stdout(Stdio::null());
        command.stderr(File::create(&log).with_context(|| format!("failed to create {}", log.display()))?);
        let started = Instant::now();
        let mut process = command.spawn().context("failed to run gastown")?;
        let id = process.id().context("gastown has ended")?;
        while !is_ready(address).await {
            if process.try_wait().context("failed to wait for gastown")?.is_some() || started.elapsed() > READY_TIMEOUT
            {
                bail!("gastown is not ready; see {}", log.display());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(Server { address, ready_after: started.elapsed(), log, id, process })
    }

    fn settings(&self, address: SocketAddr) -> Vec<(&'static str, String)> {
        let fly = self.fly.address;
        let mut settings = vec![
            // One user makes the changes of many.
            ("CHANGES_PER_MINUTE", "1000000".to_owned()),
            ("DATABASE_URL", self.database.0.to_owned()),
            ("HOST", address.ip().to_string()),
            ("PORT", address.port().to_string()),
            ("NEXTAUTH_SECRET", TOKEN_SECRET.to_owned()),
            ("INTERNAL_API_SECRET", KEY_SECRET.to_owned()),
            ("SANDBOX_PUBLIC_KEY", self.fly.sandbox_key.clone()),
            ("FLY_API_BASE_URL", format!("http://{fly}")),
            ("FLY_API_TOKEN", "opens-the-simulated-fly".to_owned()),
            ("FLY_RATE_LIMITS", self.fly.limits.name().to_owned()),
            ("FLY_IMAGE", "registry.example.com/gastown-sandbox@sha256:0123012301230123012301230123012301230123012301230123012301230123".to_owned()),
            ("SANDBOX_URL", format!("http://{fly}/_machine/{{app}}/{{machine_id}}")),
            ("KILO_API_URL", "https://kilo.example.com".to_owned()),
            ("R2_BUCKET", "towns".to_owned()),
            ("R2_ACCESS_KEY", "bench".to_owned()),
            ("MAX_TOWNS_PER_USER", "1000000".to_owned()),
            ("INSPECT_SECONDS", self.inspect_seconds.to_string()),
            ("MONITOR_SECONDS", "86400".to_owned()),
            ("ORPHAN_SWEEP_SECONDS", "86400".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        settings.extend(match self.placement {
            Placement::SharedApp => vec![("FLY_APP_NAME", SHARED_APP.to_owned())],
            Placement::AppPerUser => {
                vec![("FLY_ORG_SLUG", "personal".to_owned()), ("FLY_APP_PREFIX", "bench".to_owned())]
            }
        });
        settings.extend(self.settings.iter().cloned());
        settings
    }
}

impl Server {
    pub(crate) fn process_id(&self) -> u32 {
        self.id
    }

    /// Returns its resident memory in MiB.
    pub(crate) fn memory_mib(&self) -> f64 {
        resident_mib(self.id)
    }

    /// Starts to measure the largest resident memory anew.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        forget_peak(self.id).context("failed to reset the largest memory of gastown")
    }

    /// Returns its largest resident memory in MiB since [`Self::forget_peak`].
    pub(crate) fn peak_mib(&self) -> f64 {
        peak_mib(self.id)
    }

    /// Returns the number of its open file descriptors.
    pub(crate) fn open_files(&self) -> anyhow::Result<usize> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id));
        Ok(open.context("failed to read the open files of gastown")?.count())
    }

    /// Returns the bytes of its log.
    pub(crate) fn log_bytes(&self) -> anyhow::Result<u64> {
        let metadata = std::fs::metadata(&self.log);
        Ok(metadata.with_context(|| format!("failed to read {}", self.log.display()))?.len())
    }

    /// Ends the server as an operator does, and waits for its end.
    pub(crate) async fn stop_gracefully(mut self) -> anyhow::Result<()> {
        let id = Pid::from_raw(i32::try_from(self.id).context("a process id is too large")?);
        kill(id, Signal::SIGTERM).context("failed to stop gastown")?;
        let ended = timeout(STOP_TIMEOUT, self.process.wait()).await;
        let status = ended.with_context(|| format!("gastown did not end; see {}", self.log.display()))?;
        ensure!(status.context("failed to wait for gastown")?.success(), "gastown failed; see {}", self.log.display());
        Ok(())
    }

    /// Kills the server and waits for its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("failed to stop gastown")
    }
}

/// Returns a port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    listener.local_addr().context("failed to find a free port")
}

/// Returns the log of the next server. Servers may run at the same time, so each has its own.
fn log_file(database: &str) -> anyhow::Result<PathBuf> {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let number = 1 + STARTED.fetch_add(1, Ordering::Relaxed);
    let folder = report::folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    Ok(folder.join(format!("server-{number}-{database}.log")))
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    let answer = connection.send(b"GET /readyz HTTP/1.1\r\nhost: bench\r\n\r\n").await;
    answer.is_ok_and(|answer| answer.status == 200)
}
