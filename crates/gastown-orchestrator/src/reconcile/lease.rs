//! The lease on a claimed operation (FM-49).

use std::future::Future;
use std::time::Duration;

use gastown_domain::Fence;
use gastown_domain::ports::{Operations, StoreError};
use tokio::time::{Instant, sleep};

use super::database_time::DatabaseTime;

/// The handling of work whose claim is lost while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLoss {
    /// Drop the work. It leaves nothing behind.
    Abandon,
    /// Finish the work, bounded by its own time-outs, so that its result is known and can be cleaned up.
    RunToCompletion,
}

/// Guards work with the lease of one claim.
pub(super) struct LeaseGuard<'a> {
    operations: &'a dyn Operations,
    fence: Fence,
    lease: Duration,
    renewed: Instant,
}

impl<'a> LeaseGuard<'a> {
    /// Returns a guard for a claim that was last renewed by a write before which it was `asked`.
    pub(super) fn new(operations: &'a dyn Operations, fence: Fence, lease: Duration, asked: Instant) -> Self {
        Self { operations, fence, lease, renewed: asked }
    }

    /// Returns true once a third of the lease has passed since the last renewal.
    pub(super) fn is_due(&self) -> bool {
        self.renewed.elapsed() >= self.lease / 3
    }

    /// Renews the lease and returns the database's time.
    pub(super) async fn renew(&mut self) -> Result<DatabaseTime, StoreError> {
        let asked = Instant::now();
        let time = self.operations.renew(self.fence, self.lease).await?;
        self.renewed = asked;
        Ok(DatabaseTime::read_now(time))
    }

    /// Records that a write has renewed the lease. `asked` is the time before the write.
    pub(super) const fn renewed_by_write(&mut self, asked: Instant) {
        self.renewed = asked;
    }

    /// Returns false once a full lease has passed since the last renewal. Then another process may hold the claim, and no
    /// call goes out before the next renewal.
    pub(super) fn still_valid(&self) -> bool {
        self.renewed.elapsed() < self.lease
    }

    /// Runs `work` and renews the lease until it is done.
    ///
    /// Errors: those of `work`, and the registry's where the lease cannot be renewed.
    pub(super) async fn run<T>(
        &self,
        on_loss: OnLoss,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => result,
            lost = self.keep_renewing() => match on_loss {
                OnLoss::RunToCompletion if matches!(lost, StoreError::Fenced { .. }) => work.await,
                OnLoss::RunToCompletion | OnLoss::Abandon => Err(lost),
            },
        }
    }

    /// Renews the lease until it is lost, or the registry refuses for good.
    async fn keep_renewing(&self) -> StoreError {
        loop {
            sleep(self.lease / 3).await;
            match self.operations.renew(self.fence, self.lease).await {
                Ok(_) => {}
                // The lease may last until the next renewal. The result of the work must survive a short outage.
                Err(error) if error.is_transient() => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "failed to renew lease");
                }
                Err(error) => return error,
            }
        }
    }
}
