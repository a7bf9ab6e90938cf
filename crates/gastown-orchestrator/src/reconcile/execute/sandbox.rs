//! Calling the API inside the sandbox.

use std::error::Error;

use gastown_domain::Failure;
use gastown_domain::ports::{SandboxAddress, StoreError};
use tokio::time::timeout;

use super::Executor;
use crate::reconcile::outcome::Outcome;
use crate::rigs::reconcile_rigs;

impl Executor<'_> {
    pub(super) async fn prepare_sandbox(self, at: &SandboxAddress) -> Result<Outcome, StoreError> {
        if let Err(error) = self.ports.provider.sandboxes.health(at).await {
            tracing::debug!(error = &error as &dyn Error, "sandbox not ready");
            return Ok(Outcome::SandboxNotReady);
        }
        self.apply_rigs(at).await?;
        Ok(Outcome::SandboxReady)
    }

    /// Prepares a sandbox that was told to restore its data. One that is healthy without it has an empty volume, and is not
    /// handed out (FM-22).
    pub(super) async fn prepare_restored(self, at: &SandboxAddress) -> Result<Outcome, StoreError> {
        let saved_at = match self.ports.provider.sandboxes.restored(at).await {
            Ok(Some(saved_at)) => saved_at.min(self.ports.env.clock.now()),
            Ok(None) => return Ok(Outcome::GaveUp(Failure::DataNotRestored)),
            Err(error) => {
                tracing::debug!(error = &error as &dyn Error, "sandbox not ready");
                return Ok(Outcome::SandboxNotReady);
            }
        };
        self.apply_rigs(at).await?;
        Ok(Outcome::Restored { saved_at })
    }

    async fn apply_rigs(self, at: &SandboxAddress) -> Result<(), StoreError> {
        if let Ok(reconciled) = timeout(self.policy.timeouts.rigs, reconcile_rigs(self.ports, at)).await {
            reconciled?;
        } else {
            // The workers go on with them. A caller, or the next stop, does not wait for clones (FM-52).
            tracing::warn!("rigs still pending; continuing without them");
        }
        Ok(())
    }

    /// Asks for a final sync. The operation goes on whatever the result is (FM-12).
    pub(super) async fn final_sync(self, at: &SandboxAddress) -> Outcome {
        let limit = self.policy.timeouts.sync;
        let synced = match timeout(limit, self.ports.provider.sandboxes.sync(at)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn Error, "failed to sync before stop");
                false
            }
            Err(_) => {
                tracing::warn!(timeout_ms = limit.as_millis(), "failed to sync before stop: timed out");
                false
            }
        };
        Outcome::Synced { at: synced.then(|| self.ports.env.clock.now()) }
    }
}
