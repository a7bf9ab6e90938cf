//! One process of the control plane, which can die and hang.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::Clock;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::env::PausedClock;

/// Longer than any lease: a process that hangs this long has lost its claims.
pub(crate) const HANG: Duration = Duration::from_secs(120);

/// A process. Once it is dead, its calls never return. While it hangs, they wait, as on a paused machine or during a
/// long page-in.
#[derive(Clone, Default)]
pub(crate) struct Process(Arc<State>);

#[derive(Default)]
struct State {
    death: CancellationToken,
    hangs_until: Mutex<Option<Instant>>,
    skew: Mutex<TimeDelta>,
}

impl Process {
    pub(crate) async fn died(&self) {
        self.0.death.cancelled().await;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.death.is_cancelled()
    }

    pub(crate) fn kill(&self) {
        self.0.death.cancel();
    }

    /// Suspends the whole process for this long.
    pub(crate) fn hang(&self, how_long: Duration) {
        *self.0.hangs_until.lock().unwrap() = Some(Instant::now() + how_long);
    }

    /// Shifts the clock of the process.
    pub(crate) fn shift_clock(&self, by: TimeDelta) {
        *self.0.skew.lock().unwrap() += by;
    }

    /// Waits while the process hangs, and forever if it is dead.
    pub(crate) async fn checkpoint(&self) {
        loop {
            if self.is_dead() {
                pending::<()>().await;
            }
            let until = *self.0.hangs_until.lock().unwrap();
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    pub(crate) async fn crash<T>(&self) -> T {
        self.kill();
        pending().await
    }
}

/// The clock of a process, which may be wrong. The database has its own clock, which is right.
pub(crate) struct SkewedClock {
    pub(crate) process: Process,
    pub(crate) true_clock: PausedClock,
}

impl Clock for SkewedClock {
    fn now(&self) -> DateTime<Utc> {
        self.true_clock.now() + *self.process.0.skew.lock().unwrap()
    }
}
