//! `kill -9` of random replicas and their restart, and replicas that are frozen for longer than their lease.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::disturbances::{Disturbances, Part};
use super::recovery::Death;
use super::replica::{Ended, Replica};
use super::stage::LEASE;

/// Milliseconds between two kills.
pub(super) const PAUSE: std::ops::RangeInclusive<u64> = 2000..=8000;
/// Milliseconds that a killed replica stays down.
pub(super) const DOWNTIME: std::ops::RangeInclusive<u64> = 100..=3000;
/// Milliseconds from the end of a freeze to the next one.
const FREEZE_PAUSE: std::ops::RangeInclusive<u64> = 6000..=16_000;
/// Milliseconds beyond the lease for which a replica is frozen.
const FROZEN_BEYOND: std::ops::RangeInclusive<u64> = 1000..=5000;
/// The longest freeze.
pub(super) const MAX_FROZEN: Duration = Duration::from_millis(*FROZEN_BEYOND.end()).saturating_add(LEASE);
/// The delay before a replica that ended on its own is started again.
const RESTART_DELAY: Duration = Duration::from_millis(500);
/// The interval at which the replicas are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Counts of ended processes.
#[derive(Default)]
pub(super) struct Counts {
    kills: AtomicU64,
    freezes: AtomicU64,
    failed_starts: AtomicU64,
    crashes: AtomicU64,
}

impl Counts {
    pub(super) fn kills(&self) -> u64 {
        self.kills.load(Ordering::Relaxed)
    }

    /// Freezes that lasted longer than the lease.
    pub(super) fn freezes(&self) -> u64 {
        self.freezes.load(Ordering::Relaxed)
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

/// Kills replicas and starts them again. Freezes replicas and continues them.
pub(super) struct Killer<'run> {
    replicas: Vec<(&'run mut Replica, Instant)>,
    /// The frozen replica, and the end of its freeze.
    frozen: Option<(usize, Instant)>,
    rng: &'run mut StdRng,
    counts: &'run Counts,
    disturbances: &'run Disturbances,
    deaths: UnboundedSender<Death>,
}

impl<'run> Killer<'run> {
    pub(super) fn new(
        replicas: &'run mut [Replica],
        rng: &'run mut StdRng,
        (counts, disturbances): (&'run Counts, &'run Disturbances),
        deaths: UnboundedSender<Death>,
    ) -> Self {
        let now = Instant::now();
        let replicas = replicas.iter_mut().map(|replica| (replica, now)).collect();
        Self { replicas, frozen: None, rng, counts, disturbances, deaths }
    }

    /// Kills and freezes random replicas, and starts and continues them again, until `end`.
    pub(super) async fn kill_until(&mut self, end: Instant) -> anyhow::Result<()> {
        let (mut next, mut next_freeze) = (self.after(PAUSE), self.after(FREEZE_PAUSE));
        while Instant::now() < end {
            self.start_due()?;
            if Instant::now() >= next {
                self.kill_one().await;
                next = self.after(PAUSE);
            }
            if self.frozen.is_some_and(|(_, until)| Instant::now() >= until) {
                self.continue_frozen();
                self.counts.freezes.fetch_add(1, Ordering::Relaxed);
                next_freeze = self.after(FREEZE_PAUSE);
            }
            if self.frozen.is_none() && Instant::now() >= next_freeze {
                self.freeze_one();
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.continue_frozen();
        Ok(())
    }

    fn freeze_one(&mut self) {
        let Some(at) = self.any_running() else { return };
        let until = self.after(FROZEN_BEYOND) + LEASE;
        self.disturbances.begin(Part::Process(at));
        self.replicas[at].0.set_frozen(true);
        self.frozen = Some((at, until));
    }

    fn continue_frozen(&mut self) {
        if let Some((at, _)) = self.frozen.take() {
            self.replicas[at].0.set_frozen(false);
            self.disturbances.end(Part::Process(at));
        }
    }

    /// Returns a random replica that is started and not frozen.
    fn any_running(&mut self) -> Option<usize> {
        let frozen = self.frozen.map(|(at, _)| at);
        let is_running = |at: &usize| self.replicas[*at].0.is_started() && Some(*at) != frozen;
        let running: Vec<usize> = (0..self.replicas.len()).filter(is_running).collect();
        running.choose(&mut self.rng).copied()
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
        let Some(at) = self.any_running() else { return };
        let back_at = self.after(DOWNTIME);
        let (replica, due) = &mut self.replicas[at];
        *due = back_at;
        self.disturbances.begin(Part::Process(at));
        let worker = replica.kill().await;
        self.counts.kills.fetch_add(1, Ordering::Relaxed);
        if let Some(worker) = worker {
            self.report_death(worker);
        }
    }

    fn start_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut dead = Vec::new();
        let frozen = self.frozen.map(|(at, _)| at);
        for (at, (replica, back_at)) in self.replicas.iter_mut().enumerate() {
            let part = Part::Process(at);
            if let Some(ended) = replica.take_ended() {
                self.disturbances.begin(part);
                *back_at = now + RESTART_DELAY;
                dead.push(ended);
            }
            if !replica.is_started() && now >= *back_at {
                replica.start()?;
            }
            if Some(at) != frozen && self.disturbances.is_open(part) && replica.is_serving() {
                self.disturbances.end(part);
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
