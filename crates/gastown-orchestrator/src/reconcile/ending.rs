//! The end of an operation: its result when the goal is reached, and the undo when it cannot be. Pure.

use gastown_domain::ports::{OperationResult, TownChange};
use gastown_domain::{
    Drift, Failure, Operation, OperationKind, Phase, Progress, Recorded, Rejection, StepName, TownStatus,
};

/// The undo of an operation that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// Nothing to undo. The operation fails, and the town stays as it is.
    Nothing,
    /// Go on as an operation of this kind, from this phase.
    By(OperationKind, Phase),
    /// A removal or an undo is never given up.
    Never,
}

/// Returns the undo of an operation.
pub(super) fn undo(operation: &Operation, town: TownStatus) -> Undo {
    match (operation.kind, town) {
        (OperationKind::Create, _) => Undo::By(OperationKind::RollBack, Phase::Begun),
        // Nothing was made, and the town is as it was, perhaps without its machine.
        (OperationKind::Restore, _) if operation.phase == Phase::Begun => Undo::Nothing,
        (OperationKind::Restore, _) => Undo::By(OperationKind::UndoRestore, Phase::Settled),
        // A machine that runs while the row says stopped costs money: stop it. A town that ran goes on as it is.
        (OperationKind::Start, TownStatus::Stopped) => Undo::By(OperationKind::Stop, Phase::Prepared),
        (OperationKind::Start, TownStatus::Provisioning | TownStatus::Running | TownStatus::Destroyed) => Undo::Nothing,
        // The machine is on, or was not touched. The next health check decides.
        (OperationKind::Restart, _) if operation.step.is_none() || is_at_sandbox(operation) => Undo::Nothing,
        // The machine may be off, and then `running` is wrong.
        (OperationKind::Restart, _) => Undo::By(OperationKind::Stop, Phase::Prepared),
        (OperationKind::Stop, _) if operation.cause.is_none() => Undo::Nothing,
        (OperationKind::Stop | OperationKind::Destroy | OperationKind::RollBack | OperationKind::UndoRestore, _) => {
            Undo::Never
        }
    }
}

/// Returns the result of an operation whose goal, or whose undo, is reached, and what it changes in the town's row.
pub(super) fn ending(operation: &Operation, town: TownStatus) -> (OperationResult, TownChange) {
    let gone = TownChange { machine: Some(None), volume: Some(None), ..TownChange::default() };
    match operation.kind {
        OperationKind::Create | OperationKind::Start | OperationKind::Restart | OperationKind::Restore => {
            (Ok(()), now_is(operation))
        }
        // A town that never ran has no goal but its create's, which the next sweep gives it again.
        OperationKind::Stop if !town.may_become(TownStatus::Stopped) => {
            (Err(Rejection::Failed(Failure::MachineBusy.into())), TownChange::default())
        }
        OperationKind::Stop => {
            let result = operation.cause.clone().map_or(Ok(()), |cause| Err(Rejection::Failed(cause)));
            (result, now_is(operation))
        }
        OperationKind::Destroy => (Ok(()), gone),
        OperationKind::UndoRestore => {
            // The id leads to the lost data (FM-22).
            let Progress { lost_volume, lost_region, .. } = operation.progress.clone();
            let before = TownChange {
                volume: Some(lost_volume),
                region: Some(lost_region),
                status: Some(operation.kind.final_status()),
                ..gone
            };
            (Err(Rejection::Failed(cause_of(operation))), before)
        }
        OperationKind::RollBack => (Err(Rejection::RolledBack(cause_of(operation))), gone),
    }
}

/// A stop of a town whose machine was removed from outside has reached its goal, and the row says so to its owner (FM-19).
fn now_is(operation: &Operation) -> TownChange {
    let is_missing = operation.kind == OperationKind::Stop && operation.progress.machine_missing;
    let drift = is_missing.then_some(Drift::MachineMissing);
    TownChange { status: Some(operation.kind.final_status()), drift, ..TownChange::default() }
}

fn is_at_sandbox(operation: &Operation) -> bool {
    operation.step.as_ref().and_then(Recorded::known) == Some(StepName::PrepareSandbox)
}

fn cause_of(operation: &Operation) -> Recorded<Failure> {
    operation.cause.clone().unwrap_or_else(|| Failure::ProviderUnavailable.into())
}
