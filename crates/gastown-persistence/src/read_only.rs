//! Sessions that cannot write.
//!
//! A session that began on a hot standby, or under `default_transaction_read_only`, may stay read only when the primary is
//! back. A refused write (25006) therefore ends all sessions that exist by then. New ones reach the primary as soon as it is
//! there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gastown_domain::ports::StoreError;

/// The least pause between two log lines about it.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// The database accepts no writes: it is a standby, or read only by its settings.
#[derive(Debug, thiserror::Error)]
#[error("the database is read only: it is a standby, or default_transaction_read_only is on")]
pub(crate) struct ReadOnly;

/// The last time when a session refused to write. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteRefusals(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<Instant>,
    logged: Option<Instant>,
}

impl WriteRefusals {
    /// Records that a session refused to write now.
    pub(crate) fn record(&self) {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last = Some(now);
        if seen.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_EVERY) {
            seen.logged = Some(now);
            tracing::warn!(error = &ReadOnly as &dyn std::error::Error, "database refused to write, sessions replaced");
        }
    }

    /// Ends all sessions that exist now, because those that began on a standby are not needed any more.
    pub(crate) fn end_sessions(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last = Some(Instant::now());
    }

    /// Returns true if a session of this age existed at the last refusal.
    pub(crate) fn concerns(&self, age: Duration) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).last;
        last.is_some_and(|last| last.elapsed() <= age)
    }
}

/// Returns true if the database refused a write because it is read only (25006 of Postgres).
pub(crate) fn is_refused_write(error: &StoreError) -> bool {
    crate::error::code(error).is_some_and(|code| code == "25006")
}
