//! `kill -9`, again and again, and those who come back.

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
/// Milliseconds that a killed replica stays away.
pub(super) const AWAY: std::ops::RangeInclusive<u64> = 100..=3000;
/// Who has ended by itself is started again after that long.
const BEFORE_NEXT_START: Duration = Duration::from_millis(500);
/// How often the replicas are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What the processes suffered.
#[derive(Default)]
pub(super) struct Toll {
    kills: AtomicU64,
    vain_starts: AtomicU64,
    crashes: AtomicU64,
}

impl Toll {
    pub(super) fn kills(&self) -> u64 {
        self.kills.load(Ordering::Relaxed)
    }

    /// Processes that ended before they served.
    pub(super) fn vain_starts(&self) -> u64 {
        self.vain_starts.load(Ordering::Relaxed)
    }

    /// Processes that served and ended by themselves.
    pub(super) fn crashes(&self) -> u64 {
        self.crashes.load(Ordering::Relaxed)
    }
}

/// The replicas, and whoever ends and starts them.
pub(super) struct Killer<'run> {
    replicas: Vec<(&'run mut Replica, Instant)>,
    dice: &'run mut StdRng,
    toll: &'run Toll,
    deaths: UnboundedSender<Death>,
}

impl<'run> Killer<'run> {
    pub(super) fn new(
        replicas: &'run mut [Replica],
        dice: &'run mut StdRng,
        toll: &'run Toll,
        deaths: UnboundedSender<Death>,
    ) -> Self {
        let now = Instant::now();
        Self { replicas: replicas.iter_mut().map(|replica| (replica, now)).collect(), dice, toll, deaths }
    }

    /// Kills random replicas and starts them again, until it is time.
    pub(super) async fn kill_until(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut next = self.after(PAUSE);
        while Instant::now() < end {
            self.start_who_is_due()?;
            if Instant::now() >= next {
                self.kill_one().await;
                next = self.after(PAUSE);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Starts whoever is not up, and never ends but by an error.
    pub(super) async fn keep_up(&mut self) -> anyhow::Result<Infallible> {
        let now = Instant::now();
        self.replicas.iter_mut().for_each(|(_, back_at)| *back_at = now);
        loop {
            self.start_who_is_due()?;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn kill_one(&mut self) {
        let up: Vec<usize> = (0..self.replicas.len()).filter(|at| self.replicas[*at].0.is_started()).collect();
        let Some(at) = up.choose(&mut self.dice).copied() else { return };
        let back_at = self.after(AWAY);
        let (replica, due) = &mut self.replicas[at];
        *due = back_at;
        let worker = replica.kill().await;
        self.toll.kills.fetch_add(1, Ordering::Relaxed);
        if let Some(worker) = worker {
            self.announce(worker);
        }
    }

    fn start_who_is_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut dead = Vec::new();
        for (replica, back_at) in &mut self.replicas {
            if let Some(ended) = replica.take_ended() {
                *back_at = now + BEFORE_NEXT_START;
                dead.push(ended);
            }
            if !replica.is_started() && now >= *back_at {
                replica.start()?;
            }
        }
        for ended in dead {
            match ended {
                Ended::InVain => {
                    self.toll.vain_starts.fetch_add(1, Ordering::Relaxed);
                }
                Ended::Crashed(worker) => {
                    self.toll.crashes.fetch_add(1, Ordering::Relaxed);
                    self.announce(worker);
                }
            }
        }
        Ok(())
    }

    fn announce(&self, worker: String) {
        // Nobody is left to hear it only when all is over.
        let _heard = self.deaths.send(Death { worker, at: Instant::now() });
    }

    fn after(&mut self, milliseconds: std::ops::RangeInclusive<u64>) -> Instant {
        Instant::now() + Duration::from_millis(self.dice.random_range(milliseconds))
    }
}
