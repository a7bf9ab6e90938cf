use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// The database's clock as it was read, carried on by a monotonic one: two clocks are never compared (FM-51).
#[derive(Debug, Clone, Copy)]
pub(super) struct DatabaseTime {
    read: DateTime<Utc>,
    at: Instant,
}

impl DatabaseTime {
    /// Of what the database has just answered.
    pub(super) fn just(read: DateTime<Utc>) -> Self {
        Self { read, at: Instant::now() }
    }

    /// What was read.
    pub(super) const fn read(self) -> DateTime<Utc> {
        self.read
    }

    /// What it is now, at the least.
    pub(super) fn now(self) -> DateTime<Utc> {
        self.read + self.at.elapsed()
    }
}
