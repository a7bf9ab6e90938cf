//! The batches of one replica in a pass.

use std::sync::Arc;

use gastown_domain::ports::{HealthBatch, StoreError};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::{HealthMonitor, HealthReport};

/// Towns that are taken at once. With one statement to take them and one to write their results, a pass costs two writing
/// statements per thousand towns.
const BATCH: u32 = 1000;
/// The most batches whose answers are awaited or written. A batch has less than a megabyte.
const MAX_BATCHES: usize = 16;
/// The most towns that one statement enrols.
const ENROLLED: u32 = 5000;

impl HealthMonitor {
    /// Makes running towns due that have no next check.
    pub(super) async fn enrol(&self) -> Result<(), StoreError> {
        loop {
            let enrolled = self.ports.store.health_checks.enrol(ENROLLED).await?;
            if enrolled > 0 {
                tracing::info!(towns = enrolled, "running towns enrolled for health checks");
            }
            if enrolled < ENROLLED {
                return Ok(());
            }
        }
    }

    /// Checks batches until no town is due. A pass that takes a whole period ends, and the next one goes on.
    pub(super) async fn check_all(&self) -> Result<HealthReport, StoreError> {
        let (mut batches, mut report) = (JoinSet::new(), HealthReport::default());
        let (slots, began) = (Arc::new(Semaphore::new(self.settings.policy.monitor.at_once)), Instant::now());
        let mut failure = None;
        while began.elapsed() < self.settings.policy.monitor.every {
            while batches.len() >= MAX_BATCHES {
                report = added(report, batches.join_next().await, &mut failure);
            }
            match self.take().await {
                Ok(Some((batch, taken_at))) => self.start(batch, taken_at, &slots, &mut batches).await,
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        while !batches.is_empty() {
            report = added(report, batches.join_next().await, &mut failure);
        }
        failure.map_or(Ok(report), Err)
    }

    async fn take(&self) -> Result<Option<(HealthBatch, Instant)>, StoreError> {
        let policy = &self.settings.policy.monitor;
        let asked_at = Instant::now();
        let ahead = policy.every.div_f64(AHEAD);
        let batch = self.ports.store.health_checks.take(BATCH, ahead, policy.lease).await?;
        Ok(batch.map(|batch| (batch, asked_at)))
    }

    /// Starts to ask the towns of a batch. A task of its own waits for the answers, so that a slow sandbox delays no other
    /// batch.
    async fn start(
        &self,
        batch: HealthBatch,
        asked_at: Instant,
        slots: &Arc<Semaphore>,
        batches: &mut JoinSet<Result<HealthReport, StoreError>>,
    ) {
        let HealthBatch { mark, taken_at, checks } = batch;
        let asking = self.ask_each(checks, slots).await;
        let monitor = self.clone();
        batches.spawn(async move {
            let finish = monitor.finish(mark, taken_at, asking);
            let held_until = asked_at + monitor.settings.policy.monitor.lease;
            // After its end another replica checks these towns.
            tokio::time::timeout_at(held_until, finish).await.unwrap_or_else(|_| {
                tracing::warn!("health checks abandoned: their lease has ended");
                Ok(HealthReport::default())
            })
        });
    }
}

/// A batch is filled with towns that are due within this part of the period.
const AHEAD: f64 = 10.0;

/// The result of a batch, or the panic of its task.
type Finished = Option<Result<Result<HealthReport, StoreError>, JoinError>>;

fn added(report: HealthReport, finished: Finished, failure: &mut Option<StoreError>) -> HealthReport {
    match finished {
        Some(Ok(Ok(batch))) => return report.plus(batch),
        Some(Ok(Err(error))) => *failure = Some(error),
        Some(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "health checks panicked"),
        None => {}
    }
    report
}
