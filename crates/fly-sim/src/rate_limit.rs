//! Fly's rate limits: a token bucket per action and identifier.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::route::{Call, Route};

/// The rate limits per action and identifier, which is the machine, or the app if the call names no machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateLimits {
    /// No limits.
    #[default]
    Off,
    /// Fly's documented limits.
    ///
    /// Calls are limited to 1/s with a burst of 3. Exceptions are reads of one machine, 5/s with a burst of 10, and
    /// deletions of apps, 100 per minute.
    Fly,
}

/// The capacity and the refill rate of a bucket.
#[derive(Debug, Clone, Copy)]
struct Limit {
    burst: f64,
    per_second: f64,
}

impl Limit {
    fn of(call: Call) -> Self {
        match call {
            Call::GetMachine => Self { burst: 10.0, per_second: 5.0 },
            Call::DeleteApp => Self { burst: 100.0, per_second: 100.0 / 60.0 },
            _ => Self { burst: 3.0, per_second: 1.0 },
        }
    }
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    refilled_at: Instant,
}

impl Bucket {
    /// Refills the bucket and takes a token. Returns false if there is none.
    fn try_take(&mut self, limit: Limit, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.refilled_at);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * limit.per_second).min(limit.burst);
        self.refilled_at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// The buckets of one simulator.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limits: RateLimits,
    buckets: HashMap<(Call, String), Bucket>,
}

impl RateLimiter {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self { limits, buckets: HashMap::new() }
    }

    /// Takes a token for the call. Returns false if there is none.
    pub(crate) fn try_acquire(&mut self, route: &Route, now: Instant) -> bool {
        if self.limits == RateLimits::Off {
            return true;
        }
        let limit = Limit::of(route.call);
        let identifier = match route.call {
            // App deletions share one bucket.
            Call::DeleteApp => String::new(),
            _ if route.call.names_machine() => route.id.clone(),
            _ => route.app.clone(),
        };
        let full = || Bucket { tokens: limit.burst, refilled_at: now };
        self.buckets.entry((route.call, identifier)).or_insert_with(full).try_take(limit, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bucket_allows_burst_of_three_and_one_per_second() {
        let mut rates = RateLimiter::new(RateLimits::Fly);
        let start = Route::to_machine(Call::StartMachine, "app", "m1");
        let other = Route::to_machine(Call::StartMachine, "app", "m2");
        let admitted = (0..4).map(|_| rates.try_acquire(&start, Instant::now())).collect::<Vec<_>>();
        assert_eq!(admitted, [true, true, true, false]);
        assert!(rates.try_acquire(&other, Instant::now()), "another machine has a bucket of its own");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(rates.try_acquire(&start, Instant::now()));
        assert!(!rates.try_acquire(&start, Instant::now()));
    }
}
