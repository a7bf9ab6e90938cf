//! The time until operations of killed replicas are taken over, measured in the database.
//!
//! A killed replica leaves its name in the rows that it had claimed. Such a row is recovered when it names another owner,
//! or when it is gone because its operation ended. The rows are polled, so times are exact to one poll interval.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The end of a process, with its name in the rows.
pub(super) struct Death {
    pub(super) worker: String,
    pub(super) at: Instant,
}

/// An operation and its owner.
type Claim = (String, String);

/// The observed rows of dead processes.
#[derive(Default)]
pub(super) struct Recovery {
    dead: BTreeMap<String, Instant>,
    waiting: BTreeMap<Claim, Instant>,
    took: Vec<Duration>,
}

impl Recovery {
    fn died(&mut self, death: Death) {
        self.dead.insert(death.worker, death.at);
    }

    fn workers(&self) -> Vec<String> {
        self.dead.keys().cloned().collect()
    }

    /// Compares the rows that name a dead owner now with those of the last poll.
    fn observe(&mut self, now: Instant, claims: BTreeSet<Claim>) {
        self.waiting.retain(|claim, since| {
            let waits = claims.contains(claim);
            if !waits {
                self.took.push(now.saturating_duration_since(*since));
            }
            waits
        });
        for claim in claims {
            if let Some(since) = self.dead.get(&claim.1) {
                self.waiting.insert(claim, *since);
            }
        }
    }

    /// Returns the number of operations that another replica took over or ended.
    pub(super) fn taken_over(&self) -> usize {
        self.took.len()
    }

    /// Returns the number of operations that still name a dead owner.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the longest time from the end of a process until one of its operations was recovered.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.took.iter().max().copied()
    }

    /// Returns the median of these times.
    pub(super) fn median(&self) -> Option<Duration> {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len() / 2).copied()
    }
}

/// Locks, and ignores that another holder panicked.
pub(super) fn locked(recovery: &Mutex<Recovery>) -> MutexGuard<'_, Recovery> {
    recovery.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls until it is dropped. Polls that fail are skipped, because nothing is recovered without the database.
pub(super) async fn watch(
    pool: PgPool,
    recovery: &Mutex<Recovery>,
    mut deaths: UnboundedReceiver<Death>,
) -> Infallible {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        while let Ok(death) = deaths.try_recv() {
            locked(recovery).died(death);
        }
        let workers = locked(recovery).workers();
        let claims = "SELECT id::text, owner FROM gastown_operations WHERE owner = ANY($1)";
        if let Ok(claims) = sqlx::query_as::<_, Claim>(claims).bind(workers).fetch_all(&pool).await {
            locked(recovery).observe(Instant::now(), claims.into_iter().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(of: &[(&str, &str)]) -> BTreeSet<Claim> {
        of.iter().map(|(operation, owner)| ((*operation).to_owned(), (*owner).to_owned())).collect()
    }

    #[test]
    fn a_claim_is_recovered_when_its_owner_changes_or_its_row_is_gone() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut recovery = Recovery::default();
        recovery.died(Death { worker: "a".into(), at: at(10) });
        recovery.observe(at(11), claims(&[("1", "a"), ("2", "a")]));
        recovery.observe(at(15), claims(&[("2", "a")]));
        assert_eq!((recovery.taken_over(), recovery.longest()), (1, Some(Duration::from_secs(5))));
        assert_eq!(recovery.waiting(), 1);
        // The second owner dies too, and a second wait begins.
        recovery.died(Death { worker: "b".into(), at: at(20) });
        recovery.observe(at(22), claims(&[("2", "b")]));
        recovery.observe(at(23), claims(&[]));
        assert_eq!(recovery.took, [5, 12, 3].map(Duration::from_secs));
        assert_eq!(recovery.longest(), Some(Duration::from_secs(12)));
        assert_eq!(recovery.median(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn without_recoveries_there_are_no_times() {
        let recovery = Recovery::default();
        assert_eq!((recovery.taken_over(), recovery.longest(), recovery.median()), (0, None, None));
    }
}
