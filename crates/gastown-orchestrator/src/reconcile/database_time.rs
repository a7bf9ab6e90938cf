use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// The database's time as it was read, advanced by a monotonic clock. Two clocks are never compared (FM-51).
#[derive(Debug, Clone, Copy)]
pub(super) struct DatabaseTime {
    read: DateTime<Utc>,
    at: Instant,
}

impl DatabaseTime {
    /// Returns the time that the database has just answered.
    pub(super) fn read_now(read: DateTime<Utc>) -> Self {
        Self { read, at: Instant::now() }
    }

    /// Returns the time as it was read.
    pub(super) const fn read(self) -> DateTime<Utc> {
        self.read
    }

    /// Returns a lower bound of the present time.
    pub(super) fn now(self) -> DateTime<Utc> {
        self.read + self.at.elapsed()
    }
}
