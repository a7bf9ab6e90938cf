//! Bounds the log messages about refused requests, because their number is decided by their senders.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// The least time between two messages.
const INTERVAL: TimeDelta = TimeDelta::seconds(10);

/// Counts refusals between two messages.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    logged_at: Option<DateTime<Utc>>,
    silent: u64,
}

impl Refusals {
    /// Counts one refusal. Returns the number since the last message if a message is due.
    pub(crate) fn count(&self, now: DateTime<Utc>) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.silent = counted.silent.saturating_add(1);
        // A clock that was set back must not silence the messages.
        if counted.logged_at.is_some_and(|logged_at| (now - logged_at).abs() < INTERVAL) {
            return None;
        }
        counted.logged_at = Some(now);
        Some(std::mem::take(&mut counted.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_and_tell_how_many_were_refused() {
        let (refusals, start) = (Refusals::default(), DateTime::<Utc>::UNIX_EPOCH);
        let at = |seconds| refusals.count(start + TimeDelta::seconds(seconds));
        assert_eq!([at(0), at(1), at(9), at(10), at(11), at(-20)], [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
