//! The delay before the next attempt.

use std::time::Duration;

/// Exponential backoff with full jitter in its upper half, bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// The longest delay.
    pub max: Duration,
}

impl Backoff {
    /// Returns the delay after `failures` failures in a row. The caller draws `fraction` in `0.0..=1.0`. The delay lies
    /// between half of the exponential step and the whole of it.
    pub fn delay(&self, failures: u32, fraction: f64) -> Duration {
        let factor = 2u32.saturating_pow(failures.saturating_sub(1).min(20));
        let whole = self.first.saturating_mul(factor).min(self.max);
        whole.mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_bounded() {
        let backoff = Backoff { first: Duration::from_millis(500), max: Duration::from_secs(30) };
        let delays: Vec<_> = [1, 2, 3, 7, 8, u32::MAX].map(|n| backoff.delay(n, 1.0).as_millis()).into();
        assert_eq!(delays, [500, 1000, 2000, 30_000, 30_000, 30_000]);
        assert_eq!(backoff.delay(1, 0.0), Duration::from_millis(250));
    }
}
