//! Percentiles and medians.

use std::time::Duration;

/// The latencies of many requests, sorted.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the latency that `percent` of the requests do not exceed, in milliseconds. It is 0 without requests.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(0.0, |latency| millis(*latency))
    }
}

/// Returns a duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Returns a count as a number for ratios.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// Returns the middle value, or the mean of the two middle values. It is 0 without values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => f64::midpoint(*below, *above),
        (_, Some(value)) => *value,
        (_, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(millis: impl IntoIterator<Item = u64>) -> Latencies {
        Latencies::new(millis.into_iter().map(Duration::from_millis).collect())
    }

    #[test]
    fn percentile_is_the_value_of_the_nearest_rank() {
        let hundred = latencies((1..=100).rev());
        for (percent, want) in [(1, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)] {
            assert!((hundred.percentile_ms(percent) - want).abs() < 1e-9, "{percent}");
        }
        assert!((latencies([7, 3, 5]).percentile_ms(50) - 5.0).abs() < 1e-9);
        assert!((latencies([7, 3]).percentile_ms(99) - 7.0).abs() < 1e-9);
        assert!(latencies([]).percentile_ms(50).abs() < 1e-9);
    }

    #[test]
    fn median_is_the_middle_or_the_mean_of_the_two_middle_values() {
        for (values, want) in [(vec![], 0.0), (vec![4.0], 4.0), (vec![9.0, 1.0], 5.0), (vec![9.0, 1.0, 2.0], 2.0)] {
            assert!((median(&values) - want).abs() < 1e-9, "{values:?}");
        }
    }
}
