//! The meaning of an operation's goal for its observation. Pure.

use gastown_domain::ports::ObservedMachine;
use gastown_domain::{LocatedVolume, OperationKind, Phase, Power, Seen, VolumeId, VolumeState};

use super::Subject;

impl Subject<'_> {
    /// Returns true for a create, and for its undo.
    pub(super) fn is_of_a_create(self) -> bool {
        match self.operation.kind {
            OperationKind::Create | OperationKind::RollBack => true,
            OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Restart
            | OperationKind::Destroy
            | OperationKind::Restore
            | OperationKind::UndoRestore => false,
        }
    }

    /// Returns true if a machine or volume that is found is one that this operation, or the one that it undoes, has made.
    pub(super) fn found_is_made(self) -> bool {
        self.is_of_a_create() || self.places_volume() || self.operation.kind == OperationKind::UndoRestore
    }

    /// Returns true for the lost volume that a restore replaces. It is neither used nor deleted (FM-22).
    pub(super) fn is_replaced(self, volume: &VolumeId) -> bool {
        let is_of_a_restore = self.places_volume() || self.operation.kind == OperationKind::UndoRestore;
        is_of_a_restore && self.operation.progress.lost_volume.as_ref() == Some(volume)
    }

    /// Returns the volume that the machine mounts, if it is not the lost one that a restore has to prove lost. The provider may
    /// have moved the data there.
    pub(super) fn moved_volume(self, machine: &Seen<ObservedMachine>) -> Option<LocatedVolume> {
        let Seen::Present(ObservedMachine { volume: Some(mounted), .. }) = machine else { return None };
        let is_moved = self.proves_loss() && self.town.volume_id.as_ref() != Some(mounted);
        is_moved.then(|| LocatedVolume { id: mounted.clone(), region: None, state: VolumeState::Ready })
    }

    /// Returns true if the row keeps the id of a volume that is proven absent.
    pub(super) fn keeps_lost_id(self) -> bool {
        let is_lost = self.town.volume_id.is_some() && self.town.volume_id == self.operation.progress.lost_volume;
        self.is_start() || (is_lost && !self.operation.kind.ends_town())
    }

    /// Returns true if the plan needs the volume. A stop does not, a create does not while its machine starts, and a destroy
    /// does not before its machine is deleted. Nothing is decided without the machine. The provider limits reads of volumes per app (FM-53).
    pub(super) fn volume_matters(self, machine: &Seen<ObservedMachine>) -> bool {
        let is_deleting = self.operation.phase == Phase::Settled;
        match (self.operation.kind, machine) {
            (OperationKind::Stop, _) | (_, Seen::Unknown) => false,
            (OperationKind::Destroy, Seen::Present(_)) => is_deleting,
            (OperationKind::Create, Seen::Present(machine)) => machine.power != Power::Starting,
            (OperationKind::Create, Seen::Absent) => true,
            (OperationKind::Restore, Seen::Present(machine)) => self.proves_loss() || machine.power != Power::Starting,
            (
                OperationKind::Start
                | OperationKind::Restart
                | OperationKind::Destroy
                | OperationKind::RollBack
                | OperationKind::Restore
                | OperationKind::UndoRestore,
                _,
            ) => true,
        }
    }

    /// Returns true if the operation creates the volume. A restore does so once the loss is proven again.
    pub(super) fn places_volume(self) -> bool {
        match self.operation.kind {
            OperationKind::Create => true,
            OperationKind::Restore => !self.proves_loss(),
            OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Restart
            | OperationKind::Destroy
            | OperationKind::RollBack
            | OperationKind::UndoRestore => false,
        }
    }

    /// Returns true for a restore that has not proven again that the volume is lost.
    pub(super) fn proves_loss(self) -> bool {
        self.operation.kind == OperationKind::Restore && self.operation.phase == Phase::Begun
    }

    /// Returns true for the operations that start the machine of a town with data.
    pub(super) fn is_start(self) -> bool {
        match self.operation.kind {
            OperationKind::Start | OperationKind::Restart => true,
            OperationKind::Create
            | OperationKind::Stop
            | OperationKind::Destroy
            | OperationKind::RollBack
            | OperationKind::Restore
            | OperationKind::UndoRestore => false,
        }
    }
}
