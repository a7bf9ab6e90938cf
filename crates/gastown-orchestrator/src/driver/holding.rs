//! Holding a claim while work takes its time (FM-49).

use std::future::Future;

use gastown_domain::ports::StoreError;
use gastown_domain::{Fence, Step};
use tokio::time::Instant;

use super::Reconciler;

/// What becomes of work whose claim was lost under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLoss {
    /// It is left where it is: nothing of it would be missed.
    Leave,
    /// It is seen through, bounded by its own time-outs, so that what it makes is known and can be disowned.
    SeeThrough,
}

impl OnLoss {
    pub(super) const fn of(step: Step) -> Self {
        match step {
            Step::EnsureVolume | Step::EnsureMachine => Self::SeeThrough,
            _ => Self::Leave,
        }
    }
}

impl Reconciler {
    /// Whether a claim that was prolonged at this moment is sure to hold: who stood still for longer has lost it, perhaps,
    /// and asks nothing of the outside before the registry said so.
    pub(super) fn surely_holds(&self, prolonged: Instant) -> bool {
        prolonged.elapsed() < self.settings.policy.lease
    }

    /// Does the work, and prolongs the claim meanwhile.
    pub(super) async fn holding<T>(
        &self,
        fence: Fence,
        on_loss: OnLoss,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => result,
            lost = self.prolong(fence) => match on_loss {
                OnLoss::SeeThrough if matches!(lost, StoreError::Fenced { .. }) => work.await,
                OnLoss::SeeThrough | OnLoss::Leave => Err(lost),
            },
        }
    }

    /// Prolongs the claim until it is lost, or the registry refuses for good.
    async fn prolong(&self, fence: Fence) -> StoreError {
        let lease = self.settings.policy.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            match self.ports.store.operations.renew(fence, lease).await {
                Ok(_) => {}
                // The lease may last until the next try; what the work made must not be lost to a moment's trouble.
                Err(error) if error.is_transient() => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "claim not prolonged");
                }
                Err(error) => return error,
            }
        }
    }
}
