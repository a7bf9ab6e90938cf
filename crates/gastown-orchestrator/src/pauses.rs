//! KeyedBackoff between attempts at work that no operation's row counts.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gastown_domain::Backoff;
use tokio::time::Instant;

/// Whoever is not heard of for so long after its pause is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// What failed lately in this process, and when each is to be tried again.
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

    /// How many pause now.
    pub(crate) fn len(&self) -> usize {
        let now = Instant::now();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, entry| now < entry.until + FORGET_AFTER);
        failed.values().filter(|entry| now < entry.until).count()
    }

    /// Whether its pause holds.
    pub(crate) fn holds(&self, key: K) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(&key).is_some_and(|entry| Instant::now() < entry.until)
    }

    /// It went well.
    pub(crate) fn end(&self, key: K) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// It failed once more: the pause grows. `fraction` in `0.0..=1.0` is drawn by the caller.
    pub(crate) fn grow(&self, key: K, fraction: f64) {
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
    async fn pauses_grow_with_failures_and_end_with_success() {
        let backoff = Backoff { first: Duration::from_secs(10), max: Duration::from_secs(15) };
        let pauses = KeyedBackoff::new(backoff);
        for (seconds, key) in [(10, 1), (15, 1), (15, 1), (10, 2)] {
            pauses.grow(key, 1.0);
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert!(pauses.holds(key) && pauses.len() == 1, "{seconds} s");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!pauses.holds(key) && pauses.len() == 0, "{seconds} s");
        }
        pauses.grow(1, 1.0);
        pauses.end(1);
        assert!(!pauses.holds(1));
    }
}
