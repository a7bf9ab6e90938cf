//! The kinds of operations.

use crate::TownStatus;
use crate::text_enum::text_enum;

text_enum! {
    expected "a known kind of operation";
    /// The goal of an operation.
    pub enum OperationKind {
        /// Provision a new town.
        Create = "create",
        /// Start a stopped town.
        Start = "start",
        /// Stop the machine and keep the volume.
        Stop = "stop",
        /// Stop the machine of a running town whose sandbox does not work, and start it again.
        Restart = "restart",
        /// Give a town whose volume is lost a new one, with the data that was saved to R2.
        Restore = "restore",
        /// Delete everything.
        Destroy = "destroy",
        /// Undo a create that cannot succeed.
        RollBack = "roll_back",
        /// Delete what a restore made, because it cannot succeed. The town stays, without its volume.
        UndoRestore = "undo_restore",
    }
}

impl OperationKind {
    /// Returns true when the operation ends with nothing left at the provider.
    pub const fn removes(self) -> bool {
        match self {
            Self::Destroy | Self::RollBack | Self::UndoRestore => true,
            Self::Create | Self::Start | Self::Stop | Self::Restart | Self::Restore => false,
        }
    }

    /// Returns the status of the town after an operation of this kind has reached its goal.
    pub const fn final_status(self) -> TownStatus {
        match self {
            Self::Create | Self::Start | Self::Restart | Self::Restore => TownStatus::Running,
            Self::Stop | Self::UndoRestore => TownStatus::Stopped,
            Self::Destroy | Self::RollBack => TownStatus::Destroyed,
        }
    }

    /// Returns true when the operation ends with a tombstone.
    pub const fn ends_town(self) -> bool {
        match self {
            Self::Destroy | Self::RollBack => true,
            Self::Create | Self::Start | Self::Stop | Self::Restart | Self::Restore | Self::UndoRestore => false,
        }
    }
}

impl std::fmt::Display for OperationKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
