//! The steps of the lifecycle, with their operands.

use crate::text_enum::text_enum;
use crate::{MachineId, Region, VolumeId};

/// The next action for a town, with the operands that its execution needs.
///
/// Every step is safe to repeat, by any process, at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Decide nothing now. Observe again after a short wait.
    ObserveAgain,
    /// Create the volume in this region.
    CreateVolume(Region),
    /// Create the machine on this volume, with a fresh token. It starts on creation.
    CreateMachine {
        /// The volume to mount.
        volume: VolumeId,
        /// The volume's region.
        region: Region,
    },
    /// Write the whole configuration of a stopped machine again, with a fresh token (FM-25).
    UpdateMachine {
        /// The machine to update.
        machine: MachineId,
        /// The volume to mount.
        volume: VolumeId,
        /// The volume's region.
        region: Region,
    },
    /// Start the machine.
    StartMachine(MachineId),
    /// Wait until the machine is started.
    AwaitStarted(MachineId),
    /// Wait until the sandbox answers, then reconcile its rigs with the table.
    PrepareSandbox(MachineId),
    /// Ask the sandbox for a final sync. Bounded, best effort.
    FinalSync(MachineId),
    /// Stop the machine.
    StopMachine(MachineId),
    /// Wait until the machine is stopped.
    AwaitStopped(MachineId),
    /// Soft-delete the row. The town gives up its name and sandbox id.
    SoftDelete,
    /// Delete the machine.
    DeleteMachine(MachineId),
    /// Wait until the machine is destroyed. Until then it holds its volume.
    AwaitDestroyed(MachineId),
    /// Delete a volume of the town's name that is not the one in use.
    DeleteSurplusVolume(VolumeId),
    /// Delete the volume.
    DeleteVolume(VolumeId),
    /// The goal is reached, but an unconfirmed create may still make something. Wait until it cannot.
    AwaitUnconfirmed,
    /// The goal is reached. Store the result and end the operation.
    Finish,
    /// The town's volume is lost. Give up instead of handing out an empty one (FM-22).
    GiveUpVolumeLost,
    /// The volume of a town that is to be restored exists. Give up instead of replacing it (FM-22).
    GiveUpVolumeFound,
    /// The machine cannot run. Give up.
    GiveUpMachineFailed,
    /// Every region has refused. Give up.
    GiveUpNoCapacity,
}

text_enum! {
    expected "a known step";
    /// The name of a [`Step`], without operands. Stored and shown.
    pub enum StepName {
        /// [`Step::ObserveAgain`].
        ObserveAgain = "look_again",
        /// [`Step::CreateVolume`].
        CreateVolume = "ensure_volume",
        /// [`Step::CreateMachine`].
        CreateMachine = "ensure_machine",
        /// [`Step::UpdateMachine`].
        UpdateMachine = "refresh_machine",
        /// [`Step::StartMachine`].
        StartMachine = "power_on",
        /// [`Step::AwaitStarted`].
        AwaitStarted = "await_on",
        /// [`Step::PrepareSandbox`].
        PrepareSandbox = "settle_sandbox",
        /// [`Step::FinalSync`].
        FinalSync = "final_sync",
        /// [`Step::StopMachine`].
        StopMachine = "power_off",
        /// [`Step::AwaitStopped`].
        AwaitStopped = "await_off",
        /// [`Step::SoftDelete`].
        SoftDelete = "hide",
        /// [`Step::DeleteMachine`].
        DeleteMachine = "drop_machine",
        /// [`Step::AwaitDestroyed`].
        AwaitDestroyed = "await_gone",
        /// [`Step::DeleteSurplusVolume`].
        DeleteSurplusVolume = "drop_surplus",
        /// [`Step::DeleteVolume`].
        DeleteVolume = "drop_volume",
        /// [`Step::AwaitUnconfirmed`].
        AwaitUnconfirmed = "outwait_doubt",
        /// [`Step::Finish`].
        Finish = "finish",
        /// [`Step::GiveUpVolumeLost`].
        GiveUpVolumeLost = "give_up_volume_lost",
        /// [`Step::GiveUpVolumeFound`].
        GiveUpVolumeFound = "give_up_volume_found",
        /// [`Step::GiveUpMachineFailed`].
        GiveUpMachineFailed = "give_up_machine_failed",
        /// [`Step::GiveUpNoCapacity`].
        GiveUpNoCapacity = "give_up_no_capacity",
    }
}

/// The kind of calls that a step makes to the provider or the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEffect {
    /// Makes no call.
    NoCall,
    /// Creates a volume.
    CreatesVolume,
    /// Creates a machine.
    CreatesMachine,
    /// Changes a machine or a volume, and creates nothing.
    Changes,
    /// Waits for a machine, or for its sandbox to work. Repeating it at any time harms nothing.
    Waits,
}

impl StepName {
    /// Returns the text for the town's owner: what the service is doing.
    pub const fn message(self) -> &'static str {
        match self {
            Self::ObserveAgain => "Looking at the machine and the volume again",
            Self::CreateVolume => "Creating the volume",
            Self::CreateMachine => "Creating the machine",
            Self::UpdateMachine => "Updating the machine",
            Self::StartMachine => "Starting the machine",
            Self::AwaitStarted => "Waiting until the machine is started",
            Self::PrepareSandbox => "Waiting for the sandbox and its rigs",
            Self::FinalSync => "Saving the data to R2",
            Self::StopMachine => "Stopping the machine",
            Self::AwaitStopped => "Waiting until the machine is stopped",
            Self::SoftDelete => "Removing the town from the list",
            Self::DeleteMachine => "Deleting the machine",
            Self::AwaitDestroyed => "Waiting until the machine is deleted",
            Self::DeleteSurplusVolume => "Deleting a volume that is not in use",
            Self::DeleteVolume => "Deleting the volume",
            Self::AwaitUnconfirmed => "Making sure that nothing is left",
            Self::Finish => "Finishing",
            Self::GiveUpVolumeLost => "Giving up, because the volume is lost",
            Self::GiveUpVolumeFound => "Giving up, because the volume exists",
            Self::GiveUpMachineFailed => "Giving up, because the machine failed",
            Self::GiveUpNoCapacity => "Giving up, because no region has capacity",
        }
    }

    /// Returns true for a step that owners see in the progress. The others only look or decide.
    pub const fn is_shown(self) -> bool {
        match self {
            Self::ObserveAgain
            | Self::Finish
            | Self::GiveUpVolumeLost
            | Self::GiveUpVolumeFound
            | Self::GiveUpMachineFailed
            | Self::GiveUpNoCapacity => false,
            Self::CreateVolume
            | Self::CreateMachine
            | Self::UpdateMachine
            | Self::StartMachine
            | Self::AwaitStarted
            | Self::PrepareSandbox
            | Self::FinalSync
            | Self::StopMachine
            | Self::AwaitStopped
            | Self::SoftDelete
            | Self::DeleteMachine
            | Self::AwaitDestroyed
            | Self::DeleteSurplusVolume
            | Self::DeleteVolume
            | Self::AwaitUnconfirmed => true,
        }
    }

    /// Returns the kind of calls that the step makes to the provider or the sandbox.
    pub const fn effect(self) -> StepEffect {
        match self {
            Self::CreateVolume => StepEffect::CreatesVolume,
            Self::CreateMachine => StepEffect::CreatesMachine,
            Self::UpdateMachine
            | Self::StartMachine
            | Self::StopMachine
            | Self::DeleteMachine
            | Self::DeleteSurplusVolume
            | Self::DeleteVolume => StepEffect::Changes,
            Self::AwaitStarted | Self::PrepareSandbox | Self::FinalSync | Self::AwaitStopped | Self::AwaitDestroyed => {
                StepEffect::Waits
            }
            Self::ObserveAgain
            | Self::SoftDelete
            | Self::AwaitUnconfirmed
            | Self::Finish
            | Self::GiveUpVolumeLost
            | Self::GiveUpVolumeFound
            | Self::GiveUpMachineFailed
            | Self::GiveUpNoCapacity => StepEffect::NoCall,
        }
    }
}

impl Step {
    /// Returns the region in which the step creates something, or `None` for a step that creates nothing.
    pub const fn create_region(&self) -> Option<&Region> {
        match self {
            Self::CreateVolume(region) | Self::CreateMachine { region, .. } => Some(region),
            Self::ObserveAgain
            | Self::UpdateMachine { .. }
            | Self::StartMachine(_)
            | Self::AwaitStarted(_)
            | Self::PrepareSandbox(_)
            | Self::FinalSync(_)
            | Self::StopMachine(_)
            | Self::AwaitStopped(_)
            | Self::SoftDelete
            | Self::DeleteMachine(_)
            | Self::AwaitDestroyed(_)
            | Self::DeleteSurplusVolume(_)
            | Self::DeleteVolume(_)
            | Self::AwaitUnconfirmed
            | Self::Finish
            | Self::GiveUpVolumeLost
            | Self::GiveUpVolumeFound
            | Self::GiveUpMachineFailed
            | Self::GiveUpNoCapacity => None,
        }
    }

    /// Returns the step's name.
    pub const fn name(&self) -> StepName {
        match self {
            Self::ObserveAgain => StepName::ObserveAgain,
            Self::CreateVolume(_) => StepName::CreateVolume,
            Self::CreateMachine { .. } => StepName::CreateMachine,
            Self::UpdateMachine { .. } => StepName::UpdateMachine,
            Self::StartMachine(_) => StepName::StartMachine,
            Self::AwaitStarted(_) => StepName::AwaitStarted,
            Self::PrepareSandbox(_) => StepName::PrepareSandbox,
            Self::FinalSync(_) => StepName::FinalSync,
            Self::StopMachine(_) => StepName::StopMachine,
            Self::AwaitStopped(_) => StepName::AwaitStopped,
            Self::SoftDelete => StepName::SoftDelete,
            Self::DeleteMachine(_) => StepName::DeleteMachine,
            Self::AwaitDestroyed(_) => StepName::AwaitDestroyed,
            Self::DeleteSurplusVolume(_) => StepName::DeleteSurplusVolume,
            Self::DeleteVolume(_) => StepName::DeleteVolume,
            Self::AwaitUnconfirmed => StepName::AwaitUnconfirmed,
            Self::Finish => StepName::Finish,
            Self::GiveUpVolumeLost => StepName::GiveUpVolumeLost,
            Self::GiveUpVolumeFound => StepName::GiveUpVolumeFound,
            Self::GiveUpMachineFailed => StepName::GiveUpMachineFailed,
            Self::GiveUpNoCapacity => StepName::GiveUpNoCapacity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_names_parse_from_their_texts() {
        for step in StepName::ALL {
            assert_eq!(step.as_str().parse(), Ok(step));
        }
    }
}
