//! Stopping a town that was not used. The service requests it where the owner has asked for it, never a user.

use gastown_domain::ports::StoreError;
use gastown_domain::{IdleVerdict, OperationKind, TownId, UserId};

use crate::town_service::TownService;

impl TownService {
    /// Requests the stop of a town, if it is idle. The transaction that inserts the stop judges the town again. The workers of
    /// any process drive it. Returns the verdict, and changes nothing unless it is [`IdleVerdict::Idle`].
    ///
    /// Errors: the registry's.
    pub async fn stop_idle_town(&self, (town, owner): (TownId, &UserId)) -> Result<IdleVerdict, StoreError> {
        let operation = self.ports.env.operation_of_service(
            (town, owner),
            OperationKind::Stop,
            Some(self.settings.policy.timeouts.stop),
        );
        let verdict = self.ports.store.operations.stop_idle(&operation).await?;
        if let IdleVerdict::Idle { since } = verdict {
            tracing::info!(town.id = %town, op.id = %operation.id, idle.since = %since, "stop of idle town accepted");
        }
        Ok(verdict)
    }
}
