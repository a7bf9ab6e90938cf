//! What a town is: ids, names, statuses, configuration, the lifecycle plan, and the ports to the outside.
//!
//! This crate depends on no other crate of the workspace and does no I/O. Values that break a rule cannot be built here:
//! adapters parse at the edge and the inside trusts the types.
//!
//! Where to start: [`plan`] is the lifecycle as one table; [`ports`] are the seams that adapters implement, each with a
//! mockall mock behind the feature `mock`.

mod backoff;
mod config;
mod failure;
mod id;
mod invalid;
mod lifecycle;
mod name;
mod observe;
mod operation;
pub mod ports;
mod recorded;
mod region;
mod repo;
mod rig;
mod rigs_plan;
mod sandbox_id;
mod size;
mod status;
mod text_enum;
mod town;

pub use backoff::Backoff;
pub use config::{FirstRig, Models, TownConfig};
pub use failure::Failure;
pub use id::{AppName, ImageRef, MachineId, OperationId, RigId, TownId, UserId, VolumeId};
pub use invalid::Invalid;
pub use lifecycle::{Observation, OperationKind, Phase, Step, StepName, UnconfirmedCreate, plan};
pub use name::{RigName, TownName};
pub use observe::{
    AgreeingObservations, Drift, DriftVerdict, InventoryItem, LocatedVolume, MachineComparison, OrphanReason,
    Ownership, Power, ResourceId, Seen, TownRecord, TownTag, VolumeComparison, VolumeState, compare, ownership,
};
pub use operation::{Fence, Operation, Progress, Rejection};
pub use recorded::Recorded;
pub use region::Region;
pub use repo::{Branch, RepoUrl};
pub use rig::{Rig, RigStatus};
pub use rigs_plan::{RigCall, SandboxRig, rigs_plan};
pub use sandbox_id::SandboxId;
pub use size::{CpuKind, Gigabytes, Guest};
pub use status::TownStatus;
pub use town::{NewTown, Town};
