//! The operations on towns, as an embedding service or the HTTP adapter calls them.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Caller, IdempotencyKey, RequestFingerprint, RestoreRefusal, StoreError, TownHealth};
use crate::{
    BegunStep, Branch, ConfigPatch, ConfigRefusal, ConfigVersion, EventId, Failure, HealthState, HistoryEvent,
    IdleStop, ListPosition, OperationId, OperationKind, Recorded, RecordedOperation, Region, RepoUrl, Rig, RigId,
    RigName, Town, TownChanged, TownConfig, TownId, TownName, TownsChanged, WatchPosition,
};

/// A town to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTown {
    /// The name.
    pub name: TownName,
    /// The configuration. `config.rigs` are the first rigs.
    pub config: TownConfig,
    /// The desired region. The configured regions follow it, in their order.
    pub region: Option<Region>,
    /// The idempotency key, with which a repeat returns the same town.
    pub key: Option<IdempotencyKey>,
}

impl CreateTown {
    /// Returns a town with this name and defaults for everything else.
    pub fn named(name: TownName) -> Self {
        Self { name, config: TownConfig::default(), region: None, key: None }
    }

    /// Returns the fingerprint of the request without its key. Repeats have the same key and the same fingerprint.
    pub fn fingerprint(&self) -> RequestFingerprint {
        // serde_json sorts the keys of objects, so the order of the input does not matter.
        let content = serde_json::json!({
            "townName": self.name.as_str(),
            "config": serde_json::to_value(&self.config).unwrap_or_default(),
            "region": self.region.as_ref().map(Region::as_str),
        });
        RequestFingerprint::of(&content.to_string())
    }
}

/// A rig to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct AddRig {
    /// The town.
    pub town: TownId,
    /// The name.
    pub name: RigName,
    /// The repository to clone.
    pub repo: RepoUrl,
    /// The branch, by default that of the repository.
    pub branch: Option<Branch>,
    /// The configuration, kept unchanged.
    pub config: Map<String, Value>,
}

/// A town whose configuration is to be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateTown {
    /// The town.
    pub town: TownId,
    /// The change.
    pub config: ConfigPatch,
    /// The version of the configuration that the caller has read.
    pub expected: ConfigVersion,
}

/// A rig to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveRig {
    /// The town.
    pub town: TownId,
    /// The rig.
    pub rig: RigId,
    /// True to remove the rig even if work is lost.
    pub force: bool,
}

/// A town to be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestroyTown {
    /// The town.
    pub town: TownId,
    /// True to wait until nothing is left at the provider. Otherwise the call returns once the removal is certain: the row
    /// is hidden, and the deletion of the machine is accepted. The volume and the proofs follow in the background.
    pub wait_until_gone: bool,
}

impl DestroyTown {
    /// Returns a request that waits until the removal is certain.
    pub const fn of(town: TownId) -> Self {
        Self { town, wait_until_gone: false }
    }

    /// Returns a request that waits until nothing is left at the provider.
    pub const fn until_gone(town: TownId) -> Self {
        Self { town, wait_until_gone: true }
    }
}

/// A town whose data is to be restored from R2 on a new volume, because its own is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreTown {
    /// The town.
    pub town: TownId,
    /// The name of the town, as the owner's confirmation.
    pub confirm: TownName,
}

/// The answer to a restore.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredTown {
    /// The town after the call. The restore may still be in flight.
    pub town: TownState,
    /// The last confirmed sync before the loss. Later changes are lost.
    pub saved_at: DateTime<Utc>,
}

/// The result of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RigRemoval {
    /// The sandbox confirmed the removal, and the row is deleted.
    Removed,
    /// The town does not answer now. The rig is removed later.
    Pending,
}

/// The answer to a start.
#[derive(Debug, Clone, PartialEq)]
pub struct StartedTown {
    /// The town after the call.
    pub town: TownState,
    /// The idle stop that the start has ended.
    pub idle_stop: Option<IdleStop>,
}

/// The answer to an added rig.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedRig {
    /// The rig. `pending` waits for the sandbox.
    pub rig: Rig,
    /// The town after the call. An operation in flight is a reason why the rig may be `pending`.
    pub town: TownState,
    /// The idle stop that this call has ended. The town starts, and then gets the rig.
    pub idle_stop: Option<IdleStop>,
}

/// The answer to a removed rig.
#[derive(Debug, Clone, PartialEq)]
pub struct RemovedRig {
    /// The result of the removal.
    pub removal: RigRemoval,
    /// The town after the call. An operation in flight is a reason why the removal may be pending.
    pub town: TownState,
}

/// A town, with its operation in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct TownState {
    /// The town.
    pub town: Town,
    /// The operation in flight. `None`: nothing is in flight, and the town's status is final.
    pub operation: Option<RecordedOperation>,
}

impl TownState {
    /// Returns a town without an operation in flight.
    pub const fn idle(town: Town) -> Self {
        Self { town, operation: None }
    }
}

/// A town of a list, with its health in short.
#[derive(Debug, Clone, PartialEq)]
pub struct TownSummary {
    /// The town, with its operation in flight.
    pub state: TownState,
    /// The state of its health, as the health monitor judges it.
    pub health: Recorded<HealthState>,
    /// The time since which it is this one, by the database's clock. `None` while it is not known.
    pub health_since: Option<DateTime<Utc>>,
    /// The end of the last idle stop, as in [`TownHealth`].
    pub idle_stopped_at: Option<DateTime<Utc>>,
}

impl TownSummary {
    /// Returns the idle stop of the town, in flight or ended.
    pub fn idle_stop(&self) -> Option<IdleStop> {
        IdleStop::of(self.state.town.status, self.state.operation.as_ref(), self.idle_stopped_at)
    }
}

impl From<TownState> for TownSummary {
    /// Returns a town whose health is not known yet.
    fn from(state: TownState) -> Self {
        Self { state, health: Recorded::default(), health_since: None, idle_stopped_at: None }
    }
}

/// A part of the list of a caller's towns. The default is the whole list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TownPage {
    /// The last town of the previous page.
    pub after: Option<TownId>,
    /// The most towns of the page.
    pub limit: Option<u32>,
}

/// A part of a town's history, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPage {
    /// The town.
    pub town: TownId,
    /// The last event of the previous page.
    pub before: Option<EventId>,
    /// The most events of the page.
    pub limit: u32,
}

/// The end of the last operation of a town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastOutcome {
    /// The kind, as it was requested. A create that was rolled back is a create, and a start that was undone is a start.
    pub kind: Recorded<OperationKind>,
    /// The time of the end, by the database's clock.
    pub at: DateTime<Utc>,
    /// The reason of a failure. `None`: the operation reached its goal.
    pub failure: Option<Recorded<Failure>>,
    /// The operation.
    pub operation: Option<OperationId>,
    /// Its last steps, oldest first.
    pub steps: Vec<BegunStep>,
}

/// The details of a town that its owner may see.
#[derive(Debug, Clone, PartialEq)]
pub struct TownReport {
    /// The town.
    pub town: Town,
    /// The rigs, with empty configurations. [`Towns::rig`] returns one with its own.
    pub rigs: Vec<Rig>,
    /// The health.
    pub health: TownHealth,
    /// The operation in flight.
    pub operation: Option<RecordedOperation>,
    /// The end of the last operation, as long as the history has it.
    pub last_outcome: Option<LastOutcome>,
    /// True if the host application has blocked the owner.
    pub owner_is_blocked: bool,
    /// True if a use of the town is recorded that stands for this read too.
    pub use_is_recorded: bool,
}

/// The reason why an operation was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum TownError {
    /// The caller has no such town. Foreign, destroyed and unknown towns are not distinguished (FM-43).
    #[error("town not found")]
    NotFound,
    /// The town has no such rig.
    #[error("rig not found")]
    RigNotFound,
    /// The caller already has a live town with this name.
    #[error("town name is already taken")]
    NameTaken,
    /// The town already has a rig with this name.
    #[error("rig name is already taken")]
    RigNameTaken,
    /// The caller has the maximum number of live towns.
    #[error("limit of {limit} towns is reached, destroy a town first")]
    TooManyTowns {
        /// The maximum number.
        limit: u32,
    },
    /// The town has the maximum number of rigs.
    #[error("limit of {limit} rigs is reached, remove a rig first")]
    TooManyRigs {
        /// The maximum number.
        limit: u32,
    },
    /// The caller has the maximum number of operations in flight.
    #[error("limit of {limit} operations at a time is reached, try again once one has ended")]
    TooManyOperations {
        /// The maximum number.
        limit: u32,
    },
    /// The caller changes towns or rigs too often. Nothing was written.
    #[error("too many changes, at most {limit} a minute are allowed")]
    TooManyChanges {
        /// The changes a minute.
        limit: u32,
        /// The time after which the next one is accepted.
        retry_after: Duration,
    },
    /// The idempotency key was used for a different request.
    #[error("idempotency key was used for a different request")]
    KeyReused,
    /// The town has another operation in flight.
    #[error("another operation is in progress: {kind}")]
    InFlight {
        /// The kind of that operation.
        kind: Recorded<OperationKind>,
    },
    /// The sandbox permanently refused the rig. Its row is deleted.
    #[error("town refused the rig: {reason}")]
    RigRefused {
        /// The reason given by the sandbox, sanitized.
        reason: String,
    },
    /// The rig cannot be removed without losing work.
    #[error("rig is in use: {}", in_the_way.join(", "))]
    RigInUse {
        /// The uses of the rig.
        in_the_way: Vec<String>,
    },
    /// The town's configuration is not the one that the caller has read.
    #[error("configuration was changed meanwhile")]
    ConfigChanged,
    /// The changed configuration is refused.
    #[error("configuration is refused")]
    ConfigRefused(#[source] ConfigRefusal),
    /// The confirmation of a restore is not the town's name.
    #[error("confirmation is not the town's name")]
    NotConfirmed,
    /// The town cannot be restored.
    #[error("town cannot be restored")]
    NotRestorable(#[source] RestoreRefusal),
    /// The region is not offered.
    #[error("region is not available")]
    RegionNotOffered,
    /// The operation was accepted and failed.
    #[error("{kind} failed")]
    Failed {
        /// The kind of the operation.
        kind: OperationKind,
        /// The cause.
        failure: Failure,
    },
    /// The caller's account is unknown.
    #[error("user not found")]
    UserUnknown,
    /// The host application has blocked the caller, who may still read, stop and destroy towns, and remove rigs.
    #[error("user is blocked")]
    Blocked,
    /// The caller's token was revoked, or its user does not exist.
    #[error("token is not valid for its user")]
    Unauthorized,
    /// The registry returned an error.
    #[error("registry failed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for TownError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TownNameTaken => Self::NameTaken,
            StoreError::RigNameTaken => Self::RigNameTaken,
            StoreError::TooManyTowns { limit } => Self::TooManyTowns { limit },
            StoreError::TooManyRigs { limit } => Self::TooManyRigs { limit },
            StoreError::TooManyOperations { limit } => Self::TooManyOperations { limit },
            StoreError::KeyReused => Self::KeyReused,
            StoreError::TownNotFound => Self::NotFound,
            StoreError::UserUnknown => Self::UserUnknown,
            StoreError::Unauthorized => Self::Unauthorized,
            other => Self::Store(other),
        }
    }
}

/// The changes of a watched town, as they come.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait TownChanges: Send {
    /// Waits for the next change. `None`: the town is gone, and all changes were returned.
    ///
    /// May be cancelled at any time. Errors: `Unauthorized` once the caller's token is revoked, `Store`.
    async fn next(&mut self) -> Option<Result<TownChanged, TownError>>;
}

/// The changes of a user's list of towns, as they come.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait TownListChanges: Send {
    /// Waits for the next change. There is always one more.
    ///
    /// May be cancelled at any time. Errors: `Unauthorized` once the caller's token is revoked, `Store`.
    async fn next(&mut self) -> Result<TownsChanged, TownError>;
}

/// The operations on towns. Each authorizes its caller before it reads or changes anything else.
///
/// Errors of each: `Unauthorized` for a [`Caller::Token`] with another pepper than its user has, or without a user.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Towns: Send + Sync {
    /// Creates a town and waits for it to run, up to the configured time. After that, returns the town in its current
    /// state (`provisioning`) with its operation, and the work continues.
    ///
    /// Errors: `NameTaken`, `TooManyTowns`, `KeyReused`, `RegionNotOffered`, `UserUnknown`, `Blocked`. `Failed` means rolled
    /// back.
    async fn create_town(&self, caller: &Caller, request: CreateTown) -> Result<TownState, TownError>;

    /// Destroys a town in any state, pre-empting the operation in flight. The town's status becomes `destroyed`.
    ///
    /// Waits until the removal is certain, or until nothing is left, up to the configured time. From then on it is never
    /// given up.
    async fn destroy_town(&self, caller: &Caller, request: DestroyTown) -> Result<TownState, TownError>;

    /// Stops a town. Does nothing if it is stopped.
    async fn stop_town(&self, caller: &Caller, town: TownId) -> Result<TownState, TownError>;

    /// Starts a town. Does nothing if it is running. Ends an idle stop, in flight or ended, and says so.
    ///
    /// Errors: `Blocked`.
    async fn start_town(&self, caller: &Caller, town: TownId) -> Result<StartedTown, TownError>;

    /// Gives a town whose volume is lost a new volume and machine, which boot with the data that was saved to R2. The lost
    /// volume is neither used nor deleted, and its id stays in the history.
    ///
    /// If it fails, what it made is deleted, and it may be tried again.
    ///
    /// Errors: `NotConfirmed`, `NotRestorable`, `Blocked`.
    async fn restore_town(&self, caller: &Caller, request: RestoreTown) -> Result<RestoredTown, TownError>;

    /// Changes the configuration of a live town, if it still has the expected version. A change without effect succeeds
    /// with any version, so a repeat is harmless.
    ///
    /// The first rigs do not change. A town that is being removed does not change either.
    ///
    /// Errors: `ConfigChanged`, `ConfigRefused`, `InFlight`, `Blocked`.
    async fn update_town(&self, caller: &Caller, request: UpdateTown) -> Result<TownState, TownError>;

    /// Returns one rig of a live town, with its configuration.
    ///
    /// Errors: `NotFound`, `RigNotFound`.
    async fn rig(&self, caller: &Caller, town: TownId, rig: RigId) -> Result<Rig, TownError>;

    /// Adds a rig. It is `active` if the sandbox confirmed it, and `pending` if the town does not answer now. A town that was
    /// stopped because it was idle starts, and a town that its owner has stopped does not.
    ///
    /// Errors: `Blocked`.
    async fn add_rig(&self, caller: &Caller, request: AddRig) -> Result<AddedRig, TownError>;

    /// Removes a rig.
    async fn remove_rig(&self, caller: &Caller, request: RemoveRig) -> Result<RemovedRig, TownError>;

    /// Returns the details of one town.
    async fn town_status(&self, caller: &Caller, town: TownId) -> Result<TownReport, TownError>;

    /// Returns a page of the caller's live towns, oldest first, each with its operation in flight.
    async fn list_towns(&self, caller: &Caller, page: TownPage) -> Result<Vec<TownSummary>, TownError>;

    /// Returns a page of the history of a town that [`Self::town_status`] would return, newest first.
    ///
    /// Errors: `NotFound`.
    async fn town_events(&self, caller: &Caller, page: EventPage) -> Result<Vec<HistoryEvent>, TownError>;

    /// Watches a town that [`Self::town_status`] would return. Begins after a position that an earlier watch has reached, at
    /// this process or another.
    ///
    /// No step is lost of the operation in flight and of the last one that ended, as long as they have at most 32.
    ///
    /// Errors: `NotFound`.
    async fn watch_town(
        &self,
        caller: &Caller,
        town: TownId,
        after: Option<WatchPosition>,
    ) -> Result<Box<dyn TownChanges>, TownError>;

    /// Watches the list that [`Self::list_towns`] returns. Begins with the whole list, unless it is the one that an earlier
    /// watch has reached, at this process or another. Later changes have the towns that are new, changed or gone.
    async fn watch_towns(
        &self,
        caller: &Caller,
        after: Option<ListPosition>,
    ) -> Result<Box<dyn TownListChanges>, TownError>;

    /// Returns the regions in which towns can be created. The first is the default.
    async fn regions(&self, caller: &Caller) -> Result<Vec<Region>, TownError>;
}
