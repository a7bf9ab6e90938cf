//! A rate of calls for each key, as a user or a town.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// The least number of remembered keys at which those without recent calls are forgotten.
const MIN_REMEMBERED: usize = 1024;

/// A rate of calls for each key, counted in this process.
pub(crate) struct KeyedRate<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, MonotonicClock>,
    burst: NonZeroU32,
    forget: ForgetAt,
}

impl<K: Hash + Eq + Clone> KeyedRate<K> {
    pub(crate) fn new(quota: Quota) -> Self {
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        Self { limiter, burst: quota.burst_size(), forget: ForgetAt::start() }
    }

    /// Counts a call, or returns the time after which the next one is accepted.
    pub(crate) fn admit(&self, key: &K) -> Result<(), Duration> {
        self.admit_several(key, NonZeroU32::MIN)
    }

    /// Counts calls that are made at once, or returns the time after which so many are accepted. Calls beyond the burst count
    /// as the whole burst.
    pub(crate) fn admit_several(&self, key: &K, calls: NonZeroU32) -> Result<(), Duration> {
        if self.forget.is_due(self.limiter.len()) {
            self.limiter.retain_recent();
            self.forget.done(self.limiter.len());
        }
        let admitted = self.limiter.check_key_n(key, calls.min(self.burst));
        // The burst is never exceeded, so the answer is about time.
        admitted.unwrap_or(Ok(())).map_err(|early| early.wait_time_from(MonotonicClock.now()))
    }
}

/// The number of keys at which those without recent calls are forgotten. It is twice what the last time has left, so that
/// the cost for each call does not grow with the keys.
pub(crate) struct ForgetAt(AtomicUsize);

impl ForgetAt {
    pub(crate) const fn start() -> Self {
        Self(AtomicUsize::new(MIN_REMEMBERED))
    }

    /// Returns true if the keys are too many. One caller at a time gets that answer.
    pub(crate) fn is_due(&self, keys: usize) -> bool {
        let at = self.0.load(Ordering::Relaxed);
        keys >= at && self.0.compare_exchange(at, usize::MAX, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn done(&self, left: usize) {
        self.0.store(left.saturating_mul(2).max(MIN_REMEMBERED), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_forgotten_ever_less_often_as_their_number_grows() {
        let forget = ForgetAt::start();
        let mut passes = 0;
        for keys in 1..=100_000 {
            if forget.is_due(keys) {
                passes += 1;
                forget.done(keys);
            }
        }
        assert_eq!(passes, 7, "one for each doubling from 1,024");
        forget.done(3);
        assert!(!forget.is_due(1023) && forget.is_due(1024));
        assert!(!forget.is_due(1_000_000), "another caller forgets them already");
    }
}
