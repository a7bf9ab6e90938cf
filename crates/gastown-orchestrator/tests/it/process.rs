//! One process of the control plane: it can die, and it can hang.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::Clock;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::env::PausedClock;

/// Longer than any lease: whoever hangs so long has lost what it held.
pub(crate) const HANG: Duration = Duration::from_secs(120);

/// Its calls hang for ever once it is dead, and for a while when it hangs as a whole: a paused machine, a long page-in.
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

    /// Nothing of it goes on for so long.
    pub(crate) fn hang(&self, how_long: Duration) {
        *self.0.hangs_until.lock().unwrap() = Some(Instant::now() + how_long);
    }

    /// Its clock goes wrong by so much more.
    pub(crate) fn shift_clock(&self, by: TimeDelta) {
        *self.0.skew.lock().unwrap() += by;
    }

    /// Goes on only while the process lives and does not hang.
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

/// What a process takes for the time; the database has a clock of its own, which is right.
pub(crate) struct SkewedClock {
    pub(crate) process: Process,
    pub(crate) true_clock: PausedClock,
}

impl Clock for SkewedClock {
    fn now(&self) -> DateTime<Utc> {
        self.true_clock.now() + *self.process.0.skew.lock().unwrap()
    }
}
