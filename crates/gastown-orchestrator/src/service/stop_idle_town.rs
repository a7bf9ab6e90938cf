//! Stopping a town that was not used. The service requests it where the owner has asked for it, never a user.

use gastown_domain::ports::{NewOperation, StoreError};
use gastown_domain::{IdleVerdict, OperationKind, TownId, UserId};

use crate::town_service::TownService;

impl TownService {
    /// Requests the stop of a town, if it is idle. The transaction that inserts the stop judges the town again. The workers of
    /// any process drive it. Returns the verdict, and changes nothing unless it is [`IdleVerdict::Idle`].
    ///
    /// Errors: the registry's.
    pub async fn stop_idle_town(&self, (town, owner): (TownId, &UserId)) -> Result<IdleVerdict, StoreError> {
        let operation = NewOperation {
            id: self.ports.env.ids.operation(),
            town,
            kind: OperationKind::Stop,
            requested_by: owner.clone(),
            at: self.ports.env.clock.now(),
            timeout: Some(self.settings.policy.timeouts.stop),
            max_in_flight: None,
            claim: None,
        };
        let verdict = self.ports.store.operations.stop_idle(&operation).await?;
        if let IdleVerdict::Idle { since } = verdict {
            tracing::info!(town.id = %town, op.id = %operation.id, idle.since = %since, "stop of idle town accepted");
        }
        Ok(verdict)
    }
}
