//! Backoff per key, for work whose attempts no row counts.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gastown_domain::Backoff;
use tokio::time::Instant;

/// A key is dropped this long after its pause.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// The keys whose work failed recently in this process, and the time of the next attempt of each.
#[derive(Debug)]
pub(crate) struct KeyedBackoff<K> {
    backoff: Backoff,
    failed: Mutex<HashMap<K, Failed>>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    until: Instant,
}

impl<K: Eq + Hash + Copy> KeyedBackoff<K> {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, failed: Mutex::default() }
    }

    /// Returns the number of keys that pause now.
    pub(crate) fn len(&self) -> usize {
        let now = Instant::now();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, entry| now < entry.until + FORGET_AFTER);
        failed.values().filter(|entry| now < entry.until).count()
    }

    /// Returns true while the key pauses.
    pub(crate) fn is_pausing(&self, key: K) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(&key).is_some_and(|entry| Instant::now() < entry.until)
    }

    /// Ends the backoff of a key after a success.
    pub(crate) fn reset(&self, key: K) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// Extends the pause of a key after a failure. The caller draws `fraction` in `0.0..=1.0`.
    pub(crate) fn record_failure(&self, key: K, fraction: f64) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = failed.entry(key).or_insert(Failed { times: 0, until: Instant::now() });
        entry.times = entry.times.saturating_add(1);
        entry.until = Instant::now() + self.backoff.delay(entry.times, fraction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_failures_and_end_with_a_success() {
        let backoff = Backoff { first: Duration::from_secs(10), max: Duration::from_secs(15) };
        let pauses = KeyedBackoff::new(backoff);
        for (seconds, key) in [(10, 1), (15, 1), (15, 1), (10, 2)] {
            pauses.record_failure(key, 1.0);
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert!(pauses.is_pausing(key) && pauses.len() == 1, "{seconds} s");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!pauses.is_pausing(key) && pauses.len() == 0, "{seconds} s");
        }
        pauses.record_failure(1, 1.0);
        pauses.reset(1);
        assert!(!pauses.is_pausing(1));
    }
}
