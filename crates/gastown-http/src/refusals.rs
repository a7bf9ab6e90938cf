//! The count of refusals between two log lines. A line for each would make the log grow fastest under overload.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines of a count.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Counts refusals of one kind.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since_logged: u64,
    logged: Option<Instant>,
}

impl Refusals {
    /// Counts a refusal. Returns the number since the last line, if it is time for the next one.
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.since_logged += 1;
        if self.logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return None;
        }
        self.logged = Some(Instant::now());
        Some(std::mem::take(&mut self.since_logged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_logged_at_most_every_ten_seconds() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.count(), Some(1));
        for _ in 0..3 {
            assert_eq!(refusals.count(), None);
        }
        tokio::time::advance(LOG_EVERY).await;
        assert_eq!(refusals.count(), Some(4));
        assert_eq!(refusals.count(), None);
    }
}
