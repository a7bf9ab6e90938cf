//! The ports: object-safe traits for everything outside the domain.
//!
//! Adapters implement them. The orchestrator and the HTTP adapter depend only on these traits. Each trait has a mockall
//! mock behind the feature `mock`.
//!
//! Implementations by crate:
//!
//! - persistence: [`Registry`], [`Rigs`], [`Operations`], [`DriftChecks`], [`HealthChecks`], [`Orphans`],
//!   [`SingletonJobs`], [`Rollouts`], [`Operator`], [`Users`], [`Readiness`], [`History`], [`Figures`]
//! - provider: [`Apps`], [`Machines`], [`Volumes`], [`Inventory`], [`UserTurns`]
//! - sandbox: [`Sandboxes`]
//! - jwt: [`TokenMint`], [`UserTokens`]
//! - secrets: [`Sealer`], [`TownKeys`]
//! - orchestrator: [`Towns`], [`HomeCalls`]
//! - system: [`Clock`], [`Ids`], [`Jitter`]
//! - metrics: [`Metrics`]

mod caller;
mod clock;
mod drift_checks;
mod figures;
mod health_checks;
mod history;
mod home;
mod idempotency;
mod inventory;
mod metrics;
mod operations;
mod operator;
mod operator_lists;
mod orphans;
mod provider;
mod registry;
mod rollouts;
mod sandboxes;
mod secrets;
mod singleton_jobs;
mod store;
mod tokens;
mod town_change_feed;
mod towns;
mod users;

pub use caller::Caller;
pub use clock::{Clock, Ids, Jitter};
pub use drift_checks::{DriftChecks, DriftRecord, DriftRound, RoundFigures, RoundProgress, RoundState};
pub use figures::{FigureLimits, Figures, RegistryFigures};
pub use health_checks::{CheckNeed, FailedCheck, HealthBatch, HealthCheck, HealthChecks, HealthRecord};
pub use history::History;
pub use home::{HomeCalls, HomeError};
pub use idempotency::{IdempotencyKey, RequestFingerprint};
pub use inventory::{AppInventory, AppLists, Inventory};
pub use metrics::{Measurement, Metrics, NoMetrics, OperationOutcome, ProviderCallResult, Shed, StepResult};
pub use operations::{
    Accepted, FirstClaim, NewOperation, OperationResult, OperationUpdate, Operations, Requested, RestoreRefusal,
    TownChange, WorkerId,
};
pub use operator::{Adopted, Adoption, HeldOperation, Operator, Readable, Retried, TownDetails, TownEvent, Unreadable};
pub use operator_lists::{AuditedEvent, EventFilter, ListPosition, ListedHealth, ListedTown, TownFilter};
pub use orphans::{ObservedOrphan, Orphan, OrphanEnd, Orphans};
pub use provider::{
    Action, Apps, Awaited, Deletion, MachineSpec, Machines, ObservedMachine, ObservedVolume, ProviderError, UserCalls,
    UserTurns, VolumeSpec, Volumes,
};
pub use registry::{AcceptedCreate, CallersTown, ConfigUpdated, KeyedRequest, NewCreate, Registry, Rigs, TownHealth};
pub use rollouts::{
    FailedTouch, NewRollout, ObservedRollout, ReadyTown, RolloutChanged, RolloutEnd, RolloutLimits, RolloutOrder,
    RolloutReport, Rollouts, Touch, Touched,
};
pub use sandboxes::{SandboxAddress, SandboxError, Sandboxes};
pub use secrets::{SealError, Sealer, TownKeys};
pub use singleton_jobs::{Alarm, JobState, LeaderLease, SingletonJob, SingletonJobs};
pub use store::StoreError;
pub use tokens::{GatewayGrant, GatewayToken, MintError, TokenMint, TokenRejection, UserTokens, VerifiedToken};
pub use town_change_feed::TownChangeFeed;
pub use towns::{
    AddRig, AddedRig, CreateTown, DestroyTown, EventPage, LastOutcome, RemoveRig, RemovedRig, RestoreTown,
    RestoredTown, RigRemoval, StartedTown, TownChanges, TownError, TownListChanges, TownPage, TownReport, TownState,
    TownSummary, Towns, UpdateTown,
};
pub use users::{Readiness, User, Users};

#[cfg(any(test, feature = "mock"))]
pub use clock::{MockClock, MockIds, MockJitter};
#[cfg(any(test, feature = "mock"))]
pub use drift_checks::MockDriftChecks;
#[cfg(any(test, feature = "mock"))]
pub use figures::MockFigures;
#[cfg(any(test, feature = "mock"))]
pub use health_checks::MockHealthChecks;
#[cfg(any(test, feature = "mock"))]
pub use history::MockHistory;
#[cfg(any(test, feature = "mock"))]
pub use home::MockHomeCalls;
#[cfg(any(test, feature = "mock"))]
pub use inventory::MockInventory;
#[cfg(any(test, feature = "mock"))]
pub use metrics::KeptMetrics;
#[cfg(any(test, feature = "mock"))]
pub use operations::MockOperations;
#[cfg(any(test, feature = "mock"))]
pub use operator::MockOperator;
#[cfg(any(test, feature = "mock"))]
pub use orphans::MockOrphans;
#[cfg(any(test, feature = "mock"))]
pub use provider::{MockApps, MockMachines, MockUserTurns, MockVolumes};
#[cfg(any(test, feature = "mock"))]
pub use registry::{MockRegistry, MockRigs};
#[cfg(any(test, feature = "mock"))]
pub use rollouts::MockRollouts;
#[cfg(any(test, feature = "mock"))]
pub use sandboxes::MockSandboxes;
#[cfg(any(test, feature = "mock"))]
pub use secrets::{MockSealer, MockTownKeys};
#[cfg(any(test, feature = "mock"))]
pub use singleton_jobs::MockSingletonJobs;
#[cfg(any(test, feature = "mock"))]
pub use tokens::{MockTokenMint, MockUserTokens};
#[cfg(any(test, feature = "mock"))]
pub use towns::{MockTownChanges, MockTownListChanges, MockTowns};
#[cfg(any(test, feature = "mock"))]
pub use users::{MockReadiness, MockUsers};

/// The cause of an error, as an opaque source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
