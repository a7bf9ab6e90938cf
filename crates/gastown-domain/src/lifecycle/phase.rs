//! The phases of an operation.

use crate::text_enum::text_enum;
use crate::{OperationKind, StepName};

text_enum! {
    expected "a known phase";
    /// Progress of an operation that cannot be observed at the provider. Stored in the column `mark`.
    pub enum Phase {
        /// Accepted. Restore: the volume is not proven lost again yet.
        Begun = "begun",
        /// Stop and destroy: the final sync was tried. Start and restart: the stopped machine has a fresh token.
        /// Restore: the volume is proven lost, the old machine is gone, and a new volume may exist.
        Prepared = "prepared",
        /// Create, start, restart and restore: the sandbox answered and has its rigs. Destroy and roll back: the row is
        /// soft-deleted.
        Settled = "settled",
    }
}

impl Phase {
    /// Returns the phase after a step of an operation of this kind was carried out, or `None` if the phase stays.
    ///
    /// ```
    /// use gastown_domain::{OperationKind, Phase, StepName};
    /// assert_eq!(Phase::after(OperationKind::Stop, StepName::FinalSync), Some(Phase::Prepared));
    /// // The machine of a restart is on before and after. Its progress alone tells that the sync was tried.
    /// assert_eq!(Phase::after(OperationKind::Restart, StepName::FinalSync), None);
    /// ```
    pub const fn after(kind: OperationKind, step: StepName) -> Option<Self> {
        match step {
            StepName::CreateVolume => Self::after_volume(kind),
            StepName::CreateMachine => Self::after_machine(kind),
            StepName::FinalSync => Self::after_sync(kind),
            StepName::UpdateMachine => Some(Self::Prepared),
            StepName::PrepareSandbox | StepName::SoftDelete => Some(Self::Settled),
            StepName::ObserveAgain
            | StepName::StartMachine
            | StepName::AwaitStarted
            | StepName::StopMachine
            | StepName::AwaitStopped
            | StepName::DeleteMachine
            | StepName::AwaitDestroyed
            | StepName::DeleteSurplusVolume
            | StepName::DeleteVolume
            | StepName::AwaitUnconfirmed
            | StepName::Finish
            | StepName::GiveUpVolumeLost
            | StepName::GiveUpVolumeFound
            | StepName::GiveUpMachineFailed
            | StepName::GiveUpNoCapacity => None,
        }
    }

    /// A restore is prepared from the write before its first create. What is found from then on was made by it.
    const fn after_volume(kind: OperationKind) -> Option<Self> {
        match kind {
            OperationKind::Restore => Some(Self::Prepared),
            OperationKind::Create
            | OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Restart
            | OperationKind::Destroy
            | OperationKind::RollBack
            | OperationKind::UndoRestore => None,
        }
    }

    /// A new machine has a fresh token. It is on, so that only the phase tells a restart that it is done.
    const fn after_machine(kind: OperationKind) -> Option<Self> {
        match kind {
            OperationKind::Restart => Some(Self::Prepared),
            OperationKind::Create
            | OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Destroy
            | OperationKind::RollBack
            | OperationKind::Restore
            | OperationKind::UndoRestore => None,
        }
    }

    /// For a restart, the progress alone tells that the final sync was tried.
    const fn after_sync(kind: OperationKind) -> Option<Self> {
        match kind {
            OperationKind::Restart => None,
            OperationKind::Create
            | OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Destroy
            | OperationKind::RollBack
            | OperationKind::Restore
            | OperationKind::UndoRestore => Some(Self::Prepared),
        }
    }
}
