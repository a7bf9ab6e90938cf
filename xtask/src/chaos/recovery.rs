//! How long what a dead process held waits for another one, as the database tells it.
//!
//! A process that is killed leaves its name in the rows it had claimed. Such a row is recovered when it names another
//! owner, or is gone because its operation has ended. Looked at in short intervals, so times are right to one of these.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

const LOOK: Duration = Duration::from_millis(200);

/// The end of a process, and the name it has left in the rows.
pub(super) struct Death {
    pub(super) worker: String,
    pub(super) at: Instant,
}

/// An operation, and who owns it.
type Claim = (String, String);

/// What has been seen of rows that dead processes had claimed.
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

    /// These are all the rows that name a dead owner now.
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

    /// How many operations of dead processes were taken over, or ended by others.
    pub(super) fn taken_over(&self) -> usize {
        self.took.len()
    }

    /// How many operations of dead processes nobody has taken over.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// From the end of a process until the last operation it held was another's, or over.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.took.iter().max().copied()
    }

    /// The same for half of the operations.
    pub(super) fn median(&self) -> Option<Duration> {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len() / 2).copied()
    }
}

/// A lock that outlives a panic of another holder.
pub(super) fn locked(recovery: &Mutex<Recovery>) -> MutexGuard<'_, Recovery> {
    recovery.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks until nobody wants to know any more. While the database is away nothing is recovered.
pub(super) async fn watch(
    pool: PgPool,
    recovery: &Mutex<Recovery>,
    mut deaths: UnboundedReceiver<Death>,
) -> Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
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
    fn a_claim_is_recovered_when_it_is_anothers_or_over() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut recovery = Recovery::default();
        recovery.died(Death { worker: "a".into(), at: at(10) });
        recovery.observe(at(11), claims(&[("1", "a"), ("2", "a")]));
        recovery.observe(at(15), claims(&[("2", "a")]));
        assert_eq!((recovery.taken_over(), recovery.longest()), (1, Some(Duration::from_secs(5))));
        assert_eq!(recovery.waiting(), 1);
        // Who took it over dies too: that is another wait.
        recovery.died(Death { worker: "b".into(), at: at(20) });
        recovery.observe(at(22), claims(&[("2", "b")]));
        recovery.observe(at(23), claims(&[]));
        assert_eq!(recovery.took, [5, 12, 3].map(Duration::from_secs));
        assert_eq!(recovery.longest(), Some(Duration::from_secs(12)));
        assert_eq!(recovery.median(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn nothing_recovered_is_no_time_at_all() {
        let recovery = Recovery::default();
        assert_eq!((recovery.taken_over(), recovery.longest(), recovery.median()), (0, None, None));
    }
}
