//! What a failed step means: try again, go elsewhere, or give up.

use std::time::Duration;

use gastown_domain::ports::ProviderError;
use gastown_domain::{Failure, OperationKind, Step};

/// However long Fly asks to wait, we ask again after this long: an operation that sleeps is not at its deadline either.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The way on after a failed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setback {
    /// The same again, after the backoff or what Fly asks for.
    Retry {
        /// Why it failed.
        failure: Failure,
        /// What Fly asks to wait, within reason.
        after: Option<Duration>,
        /// Whether it says nothing about a cause, so that a create gives up after a few of its kind.
        blind: bool,
    },
    /// The volume's region or host has no room: the next region of the list.
    NextRegion,
    /// The goal cannot be reached.
    GiveUp(Failure),
}

impl Setback {
    const fn patient(failure: Failure) -> Self {
        Self::Retry { failure, after: None, blind: false }
    }

    const fn blind(failure: Failure) -> Self {
        Self::Retry { failure, after: None, blind: true }
    }
}

/// What a failed call to Fly means for an operation of this kind.
pub(super) fn of_provider(kind: OperationKind, step: Step, error: &ProviderError) -> Setback {
    match error {
        ProviderError::NoCapacity { .. } | ProviderError::HostFull { .. } => match (kind, step) {
            (OperationKind::Create, Step::EnsureVolume | Step::EnsureMachine) => Setback::NextRegion,
            // A volume with data stays where it is; its host may have room again.
            _ => Setback::patient(Failure::NoCapacity),
        },
        ProviderError::Refused { .. } => match (kind, step) {
            // A removal is never given up, whatever Fly answers.
            (OperationKind::Destroy | OperationKind::RollBack, _) => Setback::patient(Failure::MachineRefused),
            (_, Step::EnsureVolume) => Setback::GiveUp(Failure::VolumeRefused),
            (_, Step::EnsureMachine | Step::UpdateMachine | Step::StartMachine) => {
                Setback::GiveUp(Failure::MachineRefused)
            }
            _ => Setback::blind(Failure::MachineRefused),
        },
        ProviderError::NameTaken { .. } => Setback::GiveUp(Failure::NameTaken),
        ProviderError::VolumeBound { .. } => Setback::patient(Failure::VolumeBound),
        ProviderError::VolumeMissing { .. } => Setback::blind(Failure::VolumeLost),
        ProviderError::MachineMissing { .. } => Setback::blind(Failure::MachineFailed),
        ProviderError::NotNow { .. } => Setback::patient(Failure::MachineBusy),
        ProviderError::Throttled { retry_after, .. } => {
            let after = retry_after.map(|asked| asked.min(LONGEST_WAIT));
            Setback::Retry { failure: Failure::Throttled, after, blind: false }
        }
        ProviderError::Misconfigured { .. } => Setback::blind(Failure::ProviderMisconfigured),
        ProviderError::NotSent { .. } | ProviderError::Unknown { .. } => Setback::blind(Failure::ProviderUnavailable),
    }
}

/// What it means that the town's volume is gone under its machine. A create may have met it just as Fly moved it: it looks
/// again. To a town that has data it is final, for now (FM-22).
pub(super) const fn of_lost_volume(kind: OperationKind) -> Setback {
    match kind {
        OperationKind::Create => Setback::blind(Failure::VolumeLost),
        OperationKind::Start | OperationKind::Stop | OperationKind::Destroy | OperationKind::RollBack => {
            Setback::GiveUp(Failure::VolumeLost)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_domain::ports::Action;

    fn refused() -> ProviderError {
        ProviderError::Refused { action: Action::Other, cause: "no".into() }
    }

    #[test]
    fn a_removal_is_never_given_up() {
        for step in Step::ALL {
            for kind in [OperationKind::Destroy, OperationKind::RollBack] {
                let setback = of_provider(kind, step, &refused());
                assert!(matches!(setback, Setback::Retry { .. }), "{kind:?} {step:?} {setback:?}");
            }
        }
    }

    #[test]
    fn only_a_create_goes_elsewhere_for_room() {
        let full = || ProviderError::HostFull { action: Action::CreateMachine, cause: "full".into() };
        assert_eq!(of_provider(OperationKind::Create, Step::EnsureMachine, &full()), Setback::NextRegion);
        assert_eq!(
            of_provider(OperationKind::Start, Step::EnsureMachine, &full()),
            Setback::Retry { failure: Failure::NoCapacity, after: None, blind: false }
        );
    }

    #[test]
    fn a_throttled_call_waits_as_long_as_it_is_told() {
        let after = Some(Duration::from_secs(7));
        let error = ProviderError::Throttled { action: Action::CreateMachine, retry_after: after };
        assert_eq!(
            of_provider(OperationKind::Create, Step::EnsureMachine, &error),
            Setback::Retry { failure: Failure::Throttled, after, blind: false }
        );
    }
}
