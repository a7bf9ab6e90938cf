//! The simulated clock, which runs on tokio's clock and can be advanced and stopped.

use std::{ops::Add, time::Duration};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A time of the simulated world: the time since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(crate) struct SimTime(Duration);

impl SimTime {
    /// Returns the time since `earlier`, or zero.
    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for SimTime {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// The clock of a world. It follows tokio's time, including paused time, unless it is stopped.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    /// The wall clock time at the start of the world.
    epoch: DateTime<Utc>,
    /// The simulated time at `since`.
    base: SimTime,
    since: Instant,
    frozen: bool,
}

/// A clock as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredClock {
    epoch: DateTime<Utc>,
    now: SimTime,
    frozen: bool,
}

impl SimClock {
    /// Starts the clock at `epoch`, or at the real time by default.
    pub(crate) fn start(epoch: Option<DateTime<Utc>>) -> Self {
        let epoch = epoch.unwrap_or_else(real_time);
        Self { epoch, base: SimTime::default(), since: Instant::now(), frozen: false }
    }

    /// Returns the simulated time.
    pub(crate) fn now(&self) -> SimTime {
        if self.frozen { self.base } else { self.base + self.since.elapsed() }
    }

    /// Returns tokio's time at `at`, or `None` if the clock is stopped before it.
    pub(crate) fn instant(&self, at: SimTime) -> Option<Instant> {
        let wait = at.saturating_duration_since(self.base);
        if self.frozen { wait.is_zero().then_some(self.since) } else { self.since.checked_add(wait) }
    }

    /// Returns the wall clock time at `at`.
    pub(crate) fn wall(&self, at: SimTime) -> DateTime<Utc> {
        let since_start = TimeDelta::from_std(at.0).unwrap_or(TimeDelta::MAX);
        self.epoch.checked_add_signed(since_start).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Moves the time on.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.base = self.now() + by;
        self.since = Instant::now();
    }

    /// Stops the clock, or lets it go on.
    pub(crate) fn set_frozen(&mut self, frozen: bool) {
        self.advance(Duration::ZERO);
        self.frozen = frozen;
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen
    }

    pub(crate) fn store(&self) -> StoredClock {
        StoredClock { epoch: self.epoch, now: self.now(), frozen: self.frozen }
    }

    /// Continues a stored clock where it was.
    pub(crate) fn restore(stored: StoredClock) -> Self {
        let StoredClock { epoch, now, frozen } = stored;
        Self { epoch, base: now, since: Instant::now(), frozen }
    }

    /// Moves a clock that is not stopped to the real time, unless it is later.
    pub(crate) fn catch_up_with_real_time(&mut self) {
        let behind = real_time() - self.wall(self.now());
        if !self.frozen {
            self.advance(behind.to_std().unwrap_or_default());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the simulated wall clock is set")]
fn real_time() -> DateTime<Utc> {
    Utc::now()
}

/// Formats a time as Fly does: RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stopped_clock_moves_only_when_it_is_advanced() {
        let mut clock = SimClock::start(Some(DateTime::UNIX_EPOCH));
        clock.set_frozen(true);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.wall(clock.now()), DateTime::UNIX_EPOCH);
        assert_eq!(clock.instant(clock.now() + Duration::from_secs(1)), None);
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.wall(clock.now()).timestamp(), 60);
        clock.set_frozen(false);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.wall(clock.now()).timestamp(), 65);
    }

    #[tokio::test(start_paused = true)]
    async fn stored_clock_goes_on_where_it_was() {
        let mut clock = SimClock::start(Some(DateTime::UNIX_EPOCH));
        clock.advance(Duration::from_secs(7));
        let stored = clock.store();
        tokio::time::advance(Duration::from_secs(5)).await;
        let mut restored = SimClock::restore(stored);
        assert_eq!(restored.store(), stored);
        restored.catch_up_with_real_time();
        assert!(restored.wall(restored.now()).timestamp() > 1_700_000_000);
    }
}
