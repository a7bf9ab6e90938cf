//! The simulated wall clock, which runs on tokio's clock.

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::time::Instant;

/// A wall clock that advances with tokio's time, including paused time.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    epoch: DateTime<Utc>,
    origin: Instant,
}

impl SimClock {
    /// Starts the clock at `epoch`, or at the real time by default.
    pub(crate) fn start(epoch: Option<DateTime<Utc>>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place where the simulated wall clock is set")]
        let epoch = epoch.unwrap_or_else(Utc::now);
        Self { epoch, origin: Instant::now() }
    }

    /// Returns the wall clock time at `instant`.
    pub(crate) fn wall(&self, instant: Instant) -> DateTime<Utc> {
        let elapsed = instant.saturating_duration_since(self.origin);
        self.epoch + chrono::TimeDelta::from_std(elapsed).unwrap_or(chrono::TimeDelta::MAX)
    }
}

/// Formats a time as Fly does: RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
