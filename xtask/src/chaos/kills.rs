//! `kill -9` of random replicas, and their restart.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::recovery::Death;
use super::replica::{Ended, Replica};

/// Milliseconds between two kills.
pub(super) const PAUSE: std::ops::RangeInclusive<u64> = 2000..=8000;
/// Milliseconds that a killed replica stays down.
pub(super) const DOWNTIME: std::ops::RangeInclusive<u64> = 100..=3000;
/// The delay before a replica that ended on its own is started again.
const RESTART_DELAY: Duration = Duration::from_millis(500);
/// The interval at which the replicas are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Counts of ended processes.
#[derive(Default)]
pub(super) struct Counts {
    kills: AtomicU64,
    failed_starts: AtomicU64,
    crashes: AtomicU64,
}

impl Counts {
    pub(super) fn kills(&self) -> u64 {
        self.kills.load(Ordering::Relaxed)
    }

    /// Processes that ended before they served.
    pub(super) fn failed_starts(&self) -> u64 {
        self.failed_starts.load(Ordering::Relaxed)
    }

    /// Processes that ended on their own after they had served.
    pub(super) fn crashes(&self) -> u64 {
        self.crashes.load(Ordering::Relaxed)
    }
}

/// Kills replicas and starts them again.
pub(super) struct Killer<'run> {
    replicas: Vec<(&'run mut Replica, Instant)>,
    rng: &'run mut StdRng,
    counts: &'run Counts,
    deaths: UnboundedSender<Death>,
}

impl<'run> Killer<'run> {
    pub(super) fn new(
        replicas: &'run mut [Replica],
        rng: &'run mut StdRng,
        counts: &'run Counts,
        deaths: UnboundedSender<Death>,
    ) -> Self {
        let now = Instant::now();
        Self { replicas: replicas.iter_mut().map(|replica| (replica, now)).collect(), rng, counts, deaths }
    }

    /// Kills random replicas and starts them again, until `end`.
    pub(super) async fn kill_until(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut next = self.after(PAUSE);
        while Instant::now() < end {
            self.start_due()?;
            if Instant::now() >= next {
                self.kill_one().await;
                next = self.after(PAUSE);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Runs the work, and starts every replica that is down meanwhile.
    pub(super) async fn keep_running_while<T>(&mut self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::select! {
            done = work => Ok(done),
            failed = self.keep_running() => failed.map(|never| match never {}),
        }
    }

    async fn keep_running(&mut self) -> anyhow::Result<Infallible> {
        let now = Instant::now();
        self.replicas.iter_mut().for_each(|(_, back_at)| *back_at = now);
        loop {
            self.start_due()?;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn kill_one(&mut self) {
        let up: Vec<usize> = (0..self.replicas.len()).filter(|at| self.replicas[*at].0.is_started()).collect();
        let Some(at) = up.choose(&mut self.rng).copied() else { return };
        let back_at = self.after(DOWNTIME);
        let (replica, due) = &mut self.replicas[at];
        *due = back_at;
        let worker = replica.kill().await;
        self.counts.kills.fetch_add(1, Ordering::Relaxed);
        if let Some(worker) = worker {
            self.report_death(worker);
        }
    }

    fn start_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut dead = Vec::new();
        for (replica, back_at) in &mut self.replicas {
            if let Some(ended) = replica.take_ended() {
                *back_at = now + RESTART_DELAY;
                dead.push(ended);
            }
            if !replica.is_started() && now >= *back_at {
                replica.start()?;
            }
        }
        for ended in dead {
            match ended {
                Ended::BeforeServing => {
                    self.counts.failed_starts.fetch_add(1, Ordering::Relaxed);
                }
                Ended::Crashed(worker) => {
                    self.counts.crashes.fetch_add(1, Ordering::Relaxed);
                    self.report_death(worker);
                }
            }
        }
        Ok(())
    }

    fn report_death(&self, worker: String) {
        // The receiver is dropped only at the end of the run.
        let _sent = self.deaths.send(Death { worker, at: Instant::now() });
    }

    fn after(&mut self, milliseconds: std::ops::RangeInclusive<u64>) -> Instant {
        Instant::now() + Duration::from_millis(self.rng.random_range(milliseconds))
    }
}
