//! The reaction to a failed call: retry, try another region, or give up. Pure.

use std::time::Duration;

use gastown_domain::ports::ProviderError;
use gastown_domain::{Failure, OperationKind, StepEffect, StepName};

/// The longest wait that a provider may ask for. An operation that sleeps longer would miss its deadline.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The reason for which a region refuses a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegionRefusal {
    /// It has no capacity.
    Full,
    /// One of its hosts has no capacity.
    HostFull,
    /// The provider does not offer it.
    Retired,
}

/// The reaction to a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Try again, after the backoff or after what the provider asks for.
    Retry {
        /// The cause of the failure.
        failure: Failure,
        /// The wait that the provider asks for, bounded.
        after: Option<Duration>,
        /// True when the error tells nothing about a cause. A create gives up after some of them in a row.
        unclassified: bool,
    },
    /// The region of a create refuses. Try the next one.
    NextRegion(RegionRefusal),
    /// The goal cannot be reached.
    GiveUp(Failure),
}

impl Reaction {
    const fn retry(failure: Failure) -> Self {
        Self::Retry { failure, after: None, unclassified: false }
    }

    const fn unclassified(failure: Failure) -> Self {
        Self::Retry { failure, after: None, unclassified: true }
    }
}

/// Returns the reaction of an operation of this kind to a failed call of this step.
pub(super) fn reaction(kind: OperationKind, step: StepName, error: &ProviderError) -> Reaction {
    match error {
        ProviderError::NoCapacity { .. } => no_capacity(kind, step, RegionRefusal::Full),
        ProviderError::HostFull { .. } => no_capacity(kind, step, RegionRefusal::HostFull),
        ProviderError::RegionRefused { .. } => no_region(kind, step),
        ProviderError::Refused { .. } => refused(kind, step),
        ProviderError::NameTaken { .. } => Reaction::GiveUp(Failure::NameTaken),
        ProviderError::VolumeBound { .. } => Reaction::retry(Failure::VolumeBound),
        ProviderError::VolumeMissing { .. } => Reaction::unclassified(Failure::VolumeLost),
        ProviderError::MachineMissing { .. } => Reaction::unclassified(Failure::MachineFailed),
        ProviderError::NotNow { .. } => Reaction::retry(Failure::MachineBusy),
        ProviderError::Throttled { retry_after, .. } => {
            let after = retry_after.map(|asked| asked.min(MAX_RETRY_AFTER));
            Reaction::Retry { failure: Failure::Throttled, after, unclassified: false }
        }
        ProviderError::Misconfigured { .. } => Reaction::unclassified(Failure::ProviderMisconfigured),
        ProviderError::NotSent { .. } | ProviderError::Unknown { .. } => {
            Reaction::unclassified(Failure::ProviderUnavailable)
        }
    }
}

/// Returns the reaction to a lost volume. A create may have met it while the provider moved it, and observes again. For a
/// town that has data the loss is final (FM-22).
pub(super) const fn lost_volume(kind: OperationKind) -> Reaction {
    match kind {
        OperationKind::Create | OperationKind::Restore => Reaction::unclassified(Failure::VolumeLost),
        OperationKind::Start
        | OperationKind::Restart
        | OperationKind::Stop
        | OperationKind::Destroy
        | OperationKind::RollBack
        | OperationKind::UndoRestore => Reaction::GiveUp(Failure::VolumeLost),
    }
}

/// A create tries another region. A volume with data stays, and its host may have capacity later.
const fn no_capacity(kind: OperationKind, step: StepName, refusal: RegionRefusal) -> Reaction {
    if places(kind, step) { Reaction::NextRegion(refusal) } else { Reaction::retry(Failure::NoCapacity) }
}

/// A create tries another region. A town with data cannot leave its region, and an operator must act.
const fn no_region(kind: OperationKind, step: StepName) -> Reaction {
    if places(kind, step) {
        Reaction::NextRegion(RegionRefusal::Retired)
    } else {
        Reaction::unclassified(Failure::ProviderMisconfigured)
    }
}

/// Returns true for the steps that may use any region.
const fn places(kind: OperationKind, step: StepName) -> bool {
    match kind {
        OperationKind::Create | OperationKind::Restore => creates(step),
        OperationKind::Start
        | OperationKind::Restart
        | OperationKind::Stop
        | OperationKind::Destroy
        | OperationKind::RollBack
        | OperationKind::UndoRestore => false,
    }
}

/// A removal is never given up, whatever the provider answers.
const fn refused(kind: OperationKind, step: StepName) -> Reaction {
    if kind.removes() {
        return Reaction::retry(Failure::MachineRefused);
    }
    match step {
        StepName::CreateVolume => Reaction::GiveUp(Failure::VolumeRefused),
        StepName::CreateMachine | StepName::UpdateMachine | StepName::StartMachine => {
            Reaction::GiveUp(Failure::MachineRefused)
        }
        StepName::ObserveAgain
        | StepName::AwaitStarted
        | StepName::PrepareSandbox
        | StepName::FinalSync
        | StepName::StopMachine
        | StepName::AwaitStopped
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
        | StepName::GiveUpNoCapacity => Reaction::unclassified(Failure::MachineRefused),
    }
}

const fn creates(step: StepName) -> bool {
    match step.effect() {
        StepEffect::CreatesVolume | StepEffect::CreatesMachine => true,
        StepEffect::NoCall | StepEffect::Changes | StepEffect::Waits => false,
    }
}

#[cfg(test)]
mod tests;
