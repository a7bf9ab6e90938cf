//! Requesting an operation on a town that exists, and waiting for its result.

use std::time::Duration;

use gastown_domain::ports::{NewOperation, Requested, TownError};
use gastown_domain::{Failure, OperationId, OperationKind, Recorded, RecordedOperation, Rejection, TownId, UserId};

use super::unless_written;
use crate::town_service::TownService;

impl TownService {
    /// Writes the operation, or joins the one of the same kind, and nudges the reconciler.
    pub(super) async fn request(
        &self,
        caller: &UserId,
        town: TownId,
        kind: OperationKind,
        timeout: Option<Duration>,
    ) -> Result<RecordedOperation, TownError> {
        let id = self.ports.env.ids.operation();
        let at = self.ports.env.clock.now();
        let operation = NewOperation { id, town, kind, requested_by: caller.clone(), at, timeout };
        match self.write_request(&operation).await? {
            Requested::Accepted(accepted) => {
                tracing::info!(town.id = %town, op.id = %accepted.id, op.kind = %kind, "operation accepted");
                // Callers of a pre-empted operation get their answer now, not at their next poll.
                self.completions.notify();
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

    async fn write_request(&self, operation: &NewOperation) -> Result<Requested, TownError> {
        let operations = &self.ports.store.operations;
        let accepted = async {
            let in_flight = operations.current(operation.town).await?;
            Ok(in_flight.filter(|current| current.id == operation.id).map(Requested::Accepted))
        };
        Ok(unless_written(operations.request(operation).await, accepted).await?)
    }

    /// Waits for the result of an operation. A time-out is no error: the work goes on, and the town shows its state.
    pub(super) async fn wait_for_result(&self, operation: OperationId, kind: OperationKind) -> Result<(), TownError> {
        let operations = self.ports.store.operations.as_ref();
        let timeout = self.settings.policy.timeouts.caller;
        match self.completions.result_of(operations, operation, timeout).await? {
            None | Some(Ok(())) => Ok(()),
            Some(Err(rejection)) => Err(TownError::Failed { kind, failure: failure_of(&rejection) }),
        }
    }
}

/// Returns the failure that the caller of a rejected operation reads.
pub(super) fn failure_of(rejection: &Rejection) -> Failure {
    match rejection {
        Rejection::Failed(failure) | Rejection::RolledBack(failure) => known(failure),
        Rejection::Preempted => Failure::Preempted,
    }
}

/// Returns the failure, or `Unrecognized` for one that a newer version recorded.
pub(super) fn known(failure: &Recorded<Failure>) -> Failure {
    failure.known().unwrap_or(Failure::Unrecognized)
}
