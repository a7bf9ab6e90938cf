//! The operation in flight: one row that is lock, intent and progress at once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;
use crate::{Failure, OperationId, Region, Step, TownId, UnconfirmedCreate, UserId};

text_enum! {
    expected "a known kind of operation";
    /// What is wanted of a town.
    pub enum OperationKind {
        /// Bring a new town up.
        Create = "create",
        /// Bring a stopped town up again.
        Start = "start",
        /// Turn the machine off, keep the volume.
        Stop = "stop",
        /// Remove everything.
        Destroy = "destroy",
        /// Undo a create that cannot succeed.
        RollBack = "roll_back",
    }
}

impl OperationKind {
    /// Whether the operation ends with nothing left on Fly.
    pub const fn removes(self) -> bool {
        matches!(self, Self::Destroy | Self::RollBack)
    }
}

impl std::fmt::Display for OperationKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

text_enum! {
    expected "a known mark";
    /// How far an operation has come in what cannot be seen on Fly.
    pub enum Phase {
        /// Accepted.
        Begun = "begun",
        /// Stop and destroy: the sync was tried. Start: the machine has a fresh token.
        Prepared = "prepared",
        /// Create and start: the sandbox answered and has its rigs. Destroy and roll back: the row is soft-deleted.
        Settled = "settled",
    }
}

/// What a driver must remember from one step to the next and cannot see: the JSON column `progress`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Regions that had no room, in the order they were tried.
    pub refused_regions: Vec<Region>,
    /// Those of them in which only a host had none: each is tried once more when no other region is left (FM-06).
    pub full_hosts: Vec<Region>,
    /// They are being tried once more.
    pub second_round: bool,
    /// What is not known of creates of its volume.
    #[serde(rename = "volume_doubt")]
    pub unconfirmed_volume: UnconfirmedCreate,
    /// The same of its machine.
    #[serde(rename = "machine_doubt")]
    pub unconfirmed_machine: UnconfirmedCreate,
    /// The last sync before a stop or destroy: `Some(false)` when it failed or could not be asked (FM-12).
    pub synced: Option<bool>,
    /// A machine whose create this operation has seen acknowledged. Once set, its absence is a loss, not a beginning.
    pub machine_made: bool,
    /// The machine that the row named is proven gone, and no other was found (FM-19).
    pub machine_missing: bool,
    /// How long Fly's limits have held it up in all, in milliseconds: so far its deadline has moved (FM-53).
    pub queued_ms: u64,
}

/// A row of `gastown_operations`. No row, nothing in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// This run.
    pub id: OperationId,
    /// The town, and primary key: one operation per town.
    pub town: TownId,
    /// What is wanted.
    pub kind: OperationKind,
    /// How far it has come.
    pub phase: Phase,
    /// The last step that was begun.
    pub step: Option<Step>,
    /// Failed attempts since the last progress.
    pub attempt: u32,
    /// Why the last attempt failed.
    pub last_error: Option<Failure>,
    /// Why a create is being rolled back, or a start undone.
    pub cause: Option<Failure>,
    /// Who asked for it.
    pub requested_by: UserId,
    /// Rises with each claim; what a driver writes carries the number it claimed with.
    pub fence: i64,
    /// Not before then, by the database's clock.
    pub next_attempt_at: DateTime<Utc>,
    /// From then on a create is rolled back and a start or stop fails. A destroy goes on.
    pub deadline_at: DateTime<Utc>,
    /// What the driver remembers.
    pub progress: Progress,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
}

impl Operation {
    /// The token that writes of the driver who claimed this row must carry.
    pub const fn fence(&self) -> Fence {
        Fence { town: self.town, operation: self.id, number: self.fence }
    }
}

/// The fencing token of a claim: a driver that lost its lease holds an old number and changes nothing (FM-49).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The town.
    pub town: TownId,
    /// The operation that was claimed.
    pub operation: OperationId,
    /// The number of the claim.
    pub number: i64,
}

/// Why an operation ended elsewhere than at its goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// It failed; the town stands where it stood. A start that failed half-way was undone by a stop.
    Failed(Failure),
    /// A create was undone: nothing is left on Fly, the row is a tombstone.
    RolledBack(Failure),
    /// A destroy took the town over.
    Preempted,
}
