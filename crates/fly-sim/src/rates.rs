//! Fly's rate limits: a bucket per action and identifier.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::route::{Call, Route};

/// How many calls of one action on one identifier (machine, or app where the call names no machine) are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateLimits {
    /// No limit.
    #[default]
    Off,
    /// Fly's documented limits: 1/s with a burst of 3; reading one machine 5/s with a burst of 10; deleting apps
    /// 100 a minute.
    Fly,
}

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
    filled: Instant,
}

/// The buckets of one simulator.
#[derive(Debug)]
pub(crate) struct Rates {
    limits: RateLimits,
    buckets: HashMap<(Call, String), Bucket>,
}

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self { limits, buckets: HashMap::new() }
    }

    /// Takes a token for the call, or says that there is none left.
    pub(crate) fn admit(&mut self, route: &Route, now: Instant) -> bool {
        if self.limits == RateLimits::Off {
            return true;
        }
        let limit = Limit::of(route.call);
        let identifier = match route.call {
            // App deletions share one bucket; everything else has one per machine or app.
            Call::DeleteApp => String::new(),
            _ if route.call.names_machine() => route.id.clone(),
            _ => route.app.clone(),
        };
        let bucket =
            self.buckets.entry((route.call, identifier)).or_insert_with(|| Bucket { tokens: limit.burst, filled: now });
        let elapsed: Duration = now.saturating_duration_since(bucket.filled);
        bucket.tokens = (bucket.tokens + elapsed.as_secs_f64() * limit.per_second).min(limit.burst);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_gives_three_at_once_and_one_a_second() {
        let mut rates = Rates::new(RateLimits::Fly);
        let start = Route::to_machine(Call::StartMachine, "app", "m1");
        let other = Route::to_machine(Call::StartMachine, "app", "m2");
        let admitted = (0..4).map(|_| rates.admit(&start, Instant::now())).collect::<Vec<_>>();
        assert_eq!(admitted, [true, true, true, false]);
        assert!(rates.admit(&other, Instant::now()), "another machine has a bucket of its own");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(rates.admit(&start, Instant::now()));
        assert!(!rates.admit(&start, Instant::now()));
    }
}
