//! Retention: removes old events, idempotency keys and the contents of tombstones, in batches on one replica.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use gastown_domain::ports::{History, Jitter, SingletonJob, SingletonJobs, StoreError, WorkerId};
use tokio_util::sync::CancellationToken;

use crate::settings::{Settings, ValidPolicy};
use crate::singleton_jobs::{JobRun, until_stopped};

/// The rows of one batch. A batch is one transaction of some milliseconds.
const BATCH: u32 = 500;
/// The most batches of one kind before the other kinds have their turn.
const MAX_BATCHES: u32 = 200;
/// The most rounds of a pass, each of all kinds. The next pass goes on.
const MAX_ROUNDS: u32 = 1000;

/// The rows of a kind in a round that may have left some over.
const FULL_ROUND: u64 = BATCH as u64 * MAX_BATCHES as u64;

/// The ports of [`Retention`].
#[derive(Clone)]
pub struct RetentionPorts {
    /// The history.
    pub history: Arc<dyn History>,
    /// Leader leases of the singleton jobs.
    pub jobs: Arc<dyn SingletonJobs>,
    /// Jitter.
    pub jitter: Arc<dyn Jitter>,
}

/// Removes old history. Cheap to clone.
#[derive(Clone)]
pub struct Retention {
    ports: RetentionPorts,
    policy: Arc<ValidPolicy>,
    worker: WorkerId,
}

/// The rows that one pass changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Events that were deleted.
    pub events: u64,
    /// Idempotency keys that were removed.
    pub keys: u64,
    /// Tombstones whose configuration and rigs were removed.
    pub tombstones: u64,
}

impl Retention {
    /// Returns the job on these ports.
    pub fn new(ports: RetentionPorts, settings: &Settings, worker: WorkerId) -> Self {
        Self { ports, policy: Arc::new(settings.policy.clone()), worker }
    }

    /// Makes a pass whenever one is due and no other replica makes it, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let every = self.policy.retention.every;
        until_stopped(&stop, self.ports.jitter.as_ref(), every, || self.pass_and_log()).await;
    }

    async fn pass_and_log(&self) {
        match self.pass().await {
            Ok(Some(report)) if report != RetentionReport::default() => {
                tracing::info!(?report, "old history removed");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn Error, "failed to remove old history"),
        }
    }

    /// Makes one pass. Returns `None` if it is not due, or if another replica makes it or has taken it over.
    ///
    /// Errors: the registry's. The next pass comes anyway.
    pub async fn pass(&self) -> Result<Option<RetentionReport>, StoreError> {
        let run = JobRun {
            jobs: self.ports.jobs.as_ref(),
            job: SingletonJob::Retention,
            worker: &self.worker,
            lease: self.policy.timeouts.lease,
            every: self.policy.retention.every,
        };
        run.make(async { self.remove().await.map(|report| (report, None)) }).await
    }

    /// Repeats rounds until one leaves nothing over.
    async fn remove(&self) -> Result<RetentionReport, StoreError> {
        let mut total = RetentionReport::default();
        for _ in 0..MAX_ROUNDS {
            let RetentionReport { events, keys, tombstones } = self.round().await?;
            total.events += events;
            total.keys += keys;
            total.tombstones += tombstones;
            if events.max(keys).max(tombstones) < FULL_ROUND {
                break;
            }
        }
        Ok(total)
    }

    async fn round(&self) -> Result<RetentionReport, StoreError> {
        let (history, ages) = (self.ports.history.as_ref(), &self.policy.retention);
        // A kind that fails does not keep the others from their turn.
        let events = in_batches(|| history.delete_events(ages.events, BATCH)).await;
        let keys = in_batches(|| history.forget_keys(ages.keys, BATCH)).await;
        let tombstones = in_batches(|| history.empty_tombstones(ages.tombstones, BATCH)).await;
        Ok(RetentionReport { events: events?, keys: keys?, tombstones: tombstones? })
    }
}

/// Repeats a batch until one is not full, and returns the number of rows.
async fn in_batches<F>(mut batch: impl FnMut() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut rows = 0;
    for _ in 0..MAX_BATCHES {
        let changed = batch().await?;
        rows += changed;
        if changed < u64::from(BATCH) {
            break;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gastown_domain::ports::{LeaderLease, MockHistory, MockJitter, MockSingletonJobs};

    use super::*;
    use crate::settings::Policy;

    fn retention(history: MockHistory, jobs: MockSingletonJobs) -> Retention {
        let ports =
            RetentionPorts { history: Arc::new(history), jobs: Arc::new(jobs), jitter: Arc::new(MockJitter::new()) };
        let policy = Arc::new(Policy::production().validated().unwrap());
        Retention { ports, policy, worker: WorkerId("one".to_owned()) }
    }

    #[tokio::test]
    async fn a_pass_repeats_full_batches_with_the_ages_of_the_policy() {
        let mut history = MockHistory::new();
        let mut rows = [500, 500, 3].into_iter();
        history
            .expect_delete_events()
            .withf(|age, limit| (age.as_secs(), *limit) == (90 * 86_400, 500))
            .times(3)
            .returning(move |_, _| Ok(rows.next().unwrap_or_default()));
        history
            .expect_forget_keys()
            .withf(|age, _| *age == Duration::from_secs(30 * 86_400))
            .times(1)
            .returning(|_, _| Ok(7));
        history
            .expect_empty_tombstones()
            .withf(|age, _| *age == Duration::from_secs(30 * 86_400))
            .times(1)
            .returning(|_, _| Ok(0));
        let mut jobs = MockSingletonJobs::new();
        let lease = LeaderLease { job: SingletonJob::Retention, number: 1 };
        jobs.expect_claim().times(1).returning(move |_, _, _, _| Ok(Some(lease)));
        jobs.expect_finish().times(1).returning(|_, _| Ok(()));
        let report = retention(history, jobs).pass().await.unwrap();
        assert_eq!(report, Some(RetentionReport { events: 1003, keys: 7, tombstones: 0 }));
    }

    #[tokio::test]
    async fn a_pass_of_another_replica_removes_nothing() {
        let mut jobs = MockSingletonJobs::new();
        jobs.expect_claim().times(1).returning(|_, _, _, _| Ok(None));
        assert_eq!(retention(MockHistory::new(), jobs).pass().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_kind_ends_its_turn_after_its_most_batches() {
        let made = in_batches(|| async { Ok(u64::from(BATCH)) }).await.unwrap();
        assert_eq!(made, FULL_ROUND);
    }

    #[tokio::test]
    async fn a_pass_goes_on_at_once_while_rows_are_left_and_ends_in_the_end() {
        for (left, removed, rounds) in
            [(250_001_u64, 250_001, 3), (FULL_ROUND, FULL_ROUND, 2), (u64::MAX, FULL_ROUND * 1000, 1000)]
        {
            let mut history = MockHistory::new();
            let mut left = left;
            history.expect_delete_events().returning(move |_, limit| {
                let deleted = left.min(limit.into());
                left -= deleted;
                Ok(deleted)
            });
            // The other kinds have their turn in each round.
            history.expect_forget_keys().times(rounds).returning(|_, _| Ok(1));
            history.expect_empty_tombstones().times(rounds).returning(|_, _| Ok(0));
            let report = retention(history, MockSingletonJobs::new()).remove().await.unwrap();
            assert_eq!(report, RetentionReport { events: removed, keys: rounds as u64, tombstones: 0 });
        }
    }
}
