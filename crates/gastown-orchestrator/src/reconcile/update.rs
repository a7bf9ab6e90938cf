//! Converting an operation to the update that writes it, and back.

use std::time::Duration;

use gastown_domain::Operation;
use gastown_domain::ports::{OperationUpdate, TownChange};

/// Returns the update that writes this operation.
pub(super) fn update(
    operation: Operation,
    town: TownChange,
    wait: Duration,
    hold: Option<Duration>,
) -> OperationUpdate {
    OperationUpdate {
        kind: operation.kind,
        phase: operation.phase,
        step: operation.step,
        attempt: operation.attempt,
        last_error: operation.last_error,
        cause: operation.cause,
        progress: operation.progress,
        deadline_at: operation.deadline_at,
        wait,
        hold,
        town,
    }
}

/// Returns the operation as it stands after an update.
pub(super) fn updated(operation: Operation, update: &OperationUpdate) -> Operation {
    Operation {
        kind: update.kind,
        phase: update.phase,
        step: update.step.clone(),
        attempt: update.attempt,
        last_error: update.last_error.clone(),
        cause: update.cause.clone(),
        progress: update.progress.clone(),
        deadline_at: update.deadline_at,
        ..operation
    }
}
