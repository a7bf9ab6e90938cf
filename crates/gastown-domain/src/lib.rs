//! The domain model of a town: ids, names, statuses, configuration, the lifecycle plan and the ports.
//!
//! This crate depends on no other crate of the workspace and does no I/O. A value that breaks a rule cannot be
//! constructed. Adapters parse input at the edge, and the rest of the code trusts the types.
//!
//! Start reading at [`plan`], the lifecycle as one table. [`ports`] holds the traits that adapters implement. Each trait
//! has a mockall mock behind the feature `mock`, and so have samples such as `Town::sample`.

mod backoff;
mod config;
mod config_patch;
mod failure;
mod health;
mod id;
mod idle;
mod image_ref;
mod invalid;
mod lifecycle;
mod name;
mod observe;
mod operation;
mod operation_in_words;
mod placement;
pub mod ports;
mod public_host;
mod recorded;
mod redact;
mod region;
mod repo;
mod rig;
mod rigs_plan;
mod rollout;
#[cfg(any(test, feature = "mock"))]
mod samples;
mod sandbox_id;
mod sandbox_report;
mod size;
mod status;
mod text_enum;
mod town;
mod town_history;
mod watch;

pub use backoff::Backoff;
pub use config::{FirstRig, Models, TownConfig};
pub use config_patch::{Change, ConfigPatch, ConfigRefusal, ConfigVersion, MAX_CONFIG_BYTES};
pub use failure::Failure;
pub use health::{
    Health, HealthLimits, HealthObservation, HealthReason, HealthState, HealthVerdict, RestartCount, judge_health,
};
pub use id::{AppName, EventId, MachineId, OperationId, RigId, TownId, UserId, VolumeId};
pub use idle::{
    IdleFacts, IdleMinutes, IdleStop, IdleStopState, IdleVerdict, KeepReason, REPORT_IS_STALE_AFTER, USE_COUNTS_FOR,
    judge_idle,
};
pub use image_ref::ImageRef;
pub use invalid::Invalid;
pub use lifecycle::{Observation, OperationKind, Phase, Step, StepEffect, StepName, UnconfirmedCreate, plan};
pub use name::{RigName, TownName};
pub use observe::{
    AgreeingObservations, Drift, DriftVerdict, InventoryItem, LocatedVolume, MachineComparison, OrphanReason,
    Ownership, Power, ResourceId, Seen, TownRecord, TownTag, VolumeComparison, VolumeState, compare, ownership,
};
pub use operation::{BegunStep, Fence, Operation, Progress, RecordedOperation, Rejection};
pub use placement::AppPlacement;
pub use recorded::Recorded;
pub use redact::hide_keys;
pub use region::Region;
pub use repo::{Branch, RepoUrl};
pub use rig::{RefusedRig, Rig, RigStatus};
pub use rigs_plan::{RigCall, SandboxRig, rigs_plan};
pub use rollout::{
    MaxUnavailable, Percent, Rollout, RolloutFacts, RolloutNumber, RolloutPass, RolloutState, RolloutStep, TouchCounts,
    TouchOutcome, TownImage, deciding_rollout, greater_share, image_of_town, next_rollout_step,
};
pub use sandbox_id::SandboxId;
pub use sandbox_report::{Heartbeat, SandboxReport};
pub use size::{CpuKind, Gigabytes, Guest};
pub use status::TownStatus;
pub use town::{NewTown, Town};
pub use town_history::{EventAction, EventActor, EventCause, EventOutcome, HistoryEvent};
pub use watch::{
    ChangeKind, ListPosition, TownChanged, TownsChanged, WatchPosition, changes, gone, list_at_first, list_changes,
};
