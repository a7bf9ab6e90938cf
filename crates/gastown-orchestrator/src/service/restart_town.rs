//! Restarting a town whose sandbox does not work. The health monitor requests it, never a user.

use gastown_domain::ports::{FailedCheck, StoreError};
use gastown_domain::{OperationKind, Progress, TownId, UserId};

use crate::town_service::TownService;

/// The final sync of a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartSync {
    /// The sandbox answers, so it is asked for a sync.
    Try,
    /// The sandbox does not answer.
    Skip,
}

impl TownService {
    /// Requests a restart of a running town without an operation in flight, and counts it if a failed check requests it. The
    /// workers of any process drive it. Returns false, and changes nothing, for any other town, and for one that had an
    /// operation since the check.
    ///
    /// Errors: the registry's.
    pub async fn restart_town(
        &self,
        (town, owner): (TownId, &UserId),
        sync: RestartSync,
        check: Option<FailedCheck>,
    ) -> Result<bool, StoreError> {
        let operation = self.ports.env.operation_of_service(
            (town, owner),
            OperationKind::Restart,
            Some(self.settings.policy.timeouts.restart),
        );
        let synced = match sync {
            RestartSync::Try => None,
            RestartSync::Skip => Some(false),
        };
        let progress = Progress { synced, ..Progress::default() };
        let is_accepted = self.ports.store.operations.restart(&operation, &progress, check).await?;
        if is_accepted {
            tracing::info!(town.id = %town, op.id = %operation.id, op.kind = %operation.kind, "operation accepted");
        }
        Ok(is_accepted)
    }
}
