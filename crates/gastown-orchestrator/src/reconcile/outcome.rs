//! The outcome of a step.

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    Awaited, Deletion, ObservedMachine, ObservedVolume, ProviderError, StepResult, TownChange,
};
use gastown_domain::{Failure, StepName};

/// The outcome of a step.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The machine's start was accepted.
    Starting,
    /// The machine's stop was accepted.
    Stopping,
    /// The machine reached the state that was waited for.
    Reached(Awaited),
    /// The machine's deletion was answered.
    MachineDeleted(Deletion),
    /// The volume's deletion was answered.
    VolumeDeleted(Deletion),
    /// The volume was created.
    VolumeCreated {
        /// The volume.
        volume: ObservedVolume,
        /// Time that the call spent in rate limits.
        queued: Duration,
    },
    /// The machine was created.
    MachineCreated {
        /// The machine.
        machine: ObservedMachine,
        /// Time that the call spent in rate limits.
        queued: Duration,
    },
    /// The machine has its new configuration.
    MachineUpdated(ObservedMachine),
    /// The final sync was tried.
    Synced {
        /// The time of its success, by our clock (FM-36). `None` if it failed.
        at: Option<DateTime<Utc>>,
    },
    /// The sandbox answered and has its rigs, or they are still being applied.
    SandboxReady,
    /// The sandbox has restored its data, and has its rigs, or they are still being applied.
    Restored {
        /// The time at which the data was saved, not later than our present time (FM-36).
        saved_at: DateTime<Utc>,
    },
    /// The sandbox does not answer yet.
    SandboxNotReady,
    /// The row is to be soft-deleted.
    SoftDeleted {
        /// The time, by our clock.
        at: DateTime<Utc>,
    },
    /// The machine was waited for and did not reach its state.
    StateNotReached(Failure),
    /// There is nothing to do but to observe again. Shown with this failure where no call failed before.
    Waiting(Failure),
    /// The goal is reached.
    Finished,
    /// The volume is lost.
    VolumeLost,
    /// The decision was to give up.
    GaveUp(Failure),
    /// The call could not be prepared, and was not sent.
    NotPrepared(Failure),
    /// The call failed.
    Failed {
        /// The step.
        step: StepName,
        /// The error.
        error: ProviderError,
        /// Time that the call spent in rate limits.
        queued: Duration,
    },
}

impl Outcome {
    /// Returns the reason of a failed call, as the adapter read it. It contains no text of the provider's.
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            Self::Failed { error, .. } => error.source().map(ToString::to_string),
            Self::Starting
            | Self::Stopping
            | Self::Reached(_)
            | Self::MachineDeleted(_)
            | Self::VolumeDeleted(_)
            | Self::VolumeCreated { .. }
            | Self::MachineCreated { .. }
            | Self::MachineUpdated(_)
            | Self::Synced { .. }
            | Self::SandboxReady
            | Self::Restored { .. }
            | Self::SandboxNotReady
            | Self::SoftDeleted { .. }
            | Self::StateNotReached(_)
            | Self::Waiting(_)
            | Self::Finished
            | Self::VolumeLost
            | Self::GaveUp(_)
            | Self::NotPrepared(_) => None,
        }
    }

    /// Returns the result of the step as operators count it.
    pub(super) const fn step_result(&self) -> StepResult {
        match self {
            Self::Starting
            | Self::Stopping
            | Self::Reached(_)
            | Self::MachineDeleted(_)
            | Self::VolumeDeleted(_)
            | Self::VolumeCreated { .. }
            | Self::MachineCreated { .. }
            | Self::MachineUpdated(_)
            | Self::Synced { at: Some(_) }
            | Self::SandboxReady
            | Self::Restored { .. }
            | Self::SoftDeleted { .. }
            | Self::Finished => StepResult::Done,
            Self::SandboxNotReady | Self::Waiting(_) => StepResult::Waiting,
            Self::Synced { at: None }
            | Self::StateNotReached(_)
            | Self::VolumeLost
            | Self::GaveUp(_)
            | Self::NotPrepared(_)
            | Self::Failed { .. } => StepResult::Failed,
        }
    }

    /// Returns true if the provider has accepted the deletion of a machine or a volume.
    pub(super) const fn is_accepted_deletion(&self) -> bool {
        matches!(self, Self::MachineDeleted(Deletion::Accepted) | Self::VolumeDeleted(Deletion::Accepted))
    }

    /// Returns what the step created, as the row would record it.
    pub(super) fn created(&self) -> TownChange {
        match self {
            Self::VolumeCreated { volume, .. } => {
                TownChange { volume: Some(Some(volume.id.clone())), ..TownChange::default() }
            }
            Self::MachineCreated { machine, .. } => {
                TownChange { machine: Some(Some(machine.id.clone())), ..TownChange::default() }
            }
            Self::Starting
            | Self::Stopping
            | Self::Reached(_)
            | Self::MachineDeleted(_)
            | Self::VolumeDeleted(_)
            | Self::MachineUpdated(_)
            | Self::Synced { .. }
            | Self::SandboxReady
            | Self::Restored { .. }
            | Self::SandboxNotReady
            | Self::SoftDeleted { .. }
            | Self::StateNotReached(_)
            | Self::Waiting(_)
            | Self::Finished
            | Self::VolumeLost
            | Self::GaveUp(_)
            | Self::NotPrepared(_)
            | Self::Failed { .. } => TownChange::default(),
        }
    }
}
