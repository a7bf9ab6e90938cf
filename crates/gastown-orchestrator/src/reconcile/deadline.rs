//! Deadlines of operations. Time in the provider's rate limits is no failure and moves them (FM-53).

use std::time::Duration;

use gastown_domain::{Failure, Operation, OperationKind, StepName};

use crate::settings::Policy;

/// Moves the deadline by time spent in rate limits. The total is bounded and added up, so no clock is compared with another
/// (FM-51).
pub(super) fn extended(operation: Operation, wait: Duration, policy: &Policy) -> Operation {
    let queued = queued(&operation).saturating_add(wait);
    if wait.is_zero() || queued > policy.timeouts.queue {
        return operation;
    }
    let deadline_at = operation.deadline_at.map(|deadline| deadline + wait);
    let mut extended = Operation { deadline_at, ..operation };
    extended.progress.queued_ms = u64::try_from(queued.as_millis()).unwrap_or(u64::MAX);
    extended
}

/// Returns the time that the operation has spent in rate limits.
pub(super) const fn queued(operation: &Operation) -> Duration {
    Duration::from_millis(operation.progress.queued_ms)
}

/// Returns true for an operation that is never given up: a removal, or the undo of a start.
pub(super) const fn is_unbounded(operation: &Operation) -> bool {
    match operation.kind {
        OperationKind::Destroy | OperationKind::RollBack | OperationKind::UndoRestore => true,
        OperationKind::Stop => operation.cause.is_some(),
        OperationKind::Create | OperationKind::Start | OperationKind::Restart | OperationKind::Restore => false,
    }
}

/// Returns what was not reached at the deadline, when no call failed last.
pub(super) const fn unreached(step: StepName) -> Failure {
    match step {
        StepName::StartMachine | StepName::AwaitStarted => Failure::MachineNeverStarted,
        StepName::StopMachine | StepName::AwaitStopped => Failure::MachineBusy,
        StepName::PrepareSandbox => Failure::SandboxUnhealthy,
        StepName::ObserveAgain
        | StepName::CreateVolume
        | StepName::CreateMachine
        | StepName::UpdateMachine
        | StepName::FinalSync
        | StepName::SoftDelete
        | StepName::DeleteMachine
        | StepName::AwaitDestroyed
        | StepName::DeleteSurplusVolume
        | StepName::DeleteVolume
        | StepName::AwaitUnconfirmed
        | StepName::Finish
        | StepName::GiveUpVolumeLost
        | StepName::GiveUpVolumeFound
        | StepName::GiveUpMachineFailed
        | StepName::GiveUpNoCapacity => Failure::ProviderUnavailable,
    }
}
