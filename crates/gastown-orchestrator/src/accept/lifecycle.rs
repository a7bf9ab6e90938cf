//! Starting, stopping and destroying a town.

use std::time::Duration;

use gastown_domain::ports::{NewOperation, Requested, TownError};
use gastown_domain::{Failure, Operation, OperationKind, Rejection, Town, TownId, UserId};

use super::unless_written;
use crate::town_service::TownService;

/// A destroy has no deadline: it goes on until Fly confirms that nothing is left. The column wants a value.
pub(crate) const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl TownService {
    pub(crate) async fn accept_start(&self, caller: UserId, town: TownId) -> Result<Town, TownError> {
        let patience = self.settings.policy.start_timeout;
        let operation = self.request(&caller, town, OperationKind::Start, patience).await?;
        self.ended(&operation, OperationKind::Start).await?;
        self.living(&caller, town).await
    }

    pub(crate) async fn accept_stop(&self, caller: UserId, town: TownId) -> Result<Town, TownError> {
        let patience = self.settings.policy.stop_timeout;
        let operation = self.request(&caller, town, OperationKind::Stop, patience).await?;
        match self.ended(&operation, OperationKind::Stop).await {
            // The undoing of a start that was joined ends with the town stopped, which is what was asked for.
            Err(TownError::Failed { failure, .. }) if operation.cause == Some(failure) => {}
            ended => ended?,
        }
        self.living(&caller, town).await
    }

    pub(crate) async fn accept_destroy(&self, caller: UserId, town: TownId) -> Result<Town, TownError> {
        let operation = self.request(&caller, town, OperationKind::Destroy, NEVER).await?;
        match self.ended(&operation, OperationKind::Destroy).await {
            // A roll back that was joined ends with nothing left, which is what was asked for.
            Ok(()) | Err(TownError::Failed { .. }) => {}
            Err(error) => return Err(error),
        }
        self.ports.store.registry.load(town).await?.ok_or(TownError::NotFound)
    }

    /// Writes the operation down, or joins the one of the same kind, and makes sure that somebody drives it.
    async fn request(
        &self,
        caller: &UserId,
        town: TownId,
        kind: OperationKind,
        patience: Duration,
    ) -> Result<Operation, TownError> {
        let at = self.ports.env.clock.now();
        let operation =
            NewOperation { id: self.ports.env.ids.operation(), town, kind, requested_by: caller.clone(), at, patience };
        let operations = &self.ports.store.operations;
        let accepted = async {
            let in_flight = operations.current(town).await?;
            Ok(in_flight.filter(|current| current.id == operation.id).map(Requested::Accepted))
        };
        match unless_written(operations.request(&operation).await, accepted).await? {
            Requested::Accepted(accepted) => {
                tracing::info!(town.id = %town, op.id = %accepted.id, op.kind = %kind, "operation accepted");
                // A pre-empted driver's waiters are told now, not at their next poll.
                self.endings.announce();
                self.nudge(town);
                Ok(accepted)
            }
            Requested::Joined(in_flight) => {
                self.nudge(town);
                Ok(in_flight)
            }
            Requested::Busy(in_flight) => Err(TownError::InFlight { kind: in_flight.kind }),
            Requested::NotFound => Err(TownError::NotFound),
        }
    }

    /// Waits for the end. Not ended in time is no error: the work goes on and the town says where it stands.
    async fn ended(&self, operation: &Operation, kind: OperationKind) -> Result<(), TownError> {
        let operations = self.ports.store.operations.as_ref();
        let patience = self.settings.policy.caller_wait;
        match self.endings.outcome_of(operations, operation.id, patience).await? {
            None | Some(Ok(())) => Ok(()),
            Some(Err(Rejection::Failed(failure) | Rejection::RolledBack(failure))) => {
                Err(TownError::Failed { kind, failure })
            }
            Some(Err(Rejection::Preempted)) => Err(TownError::Failed { kind, failure: Failure::Preempted }),
        }
    }
}
