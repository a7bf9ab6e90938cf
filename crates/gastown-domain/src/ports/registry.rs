//! The registry of towns and rigs.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    Caller, EventPage, IdempotencyKey, NewOperation, RequestFingerprint, StoreError, TownReport, TownState,
    TownSummary, UpdateTown,
};
use crate::{
    AgreeingObservations, Branch, ConfigRefusal, Drift, HealthReason, HealthState, Heartbeat, HistoryEvent,
    IdleMinutes, IdleStop, ImageRef, NewTown, OperationId, OperationKind, Recorded, RecordedOperation, RefusedRig, Rig,
    RigId, RigStatus, SandboxReport, Town, TownId, UserId,
};

/// A town to be accepted, with everything that is written in the same transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCreate {
    /// The town and its first rigs.
    pub town: NewTown,
    /// The create operation.
    pub operation: NewOperation,
    /// The idempotency key and the fingerprint of the request.
    pub keyed: Option<KeyedRequest>,
    /// The maximum number of live towns of the owner, including this one. Checked in the same transaction (FM-54).
    pub max_towns: u32,
}

/// A request that may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// The key, shared by all repeats.
    pub key: IdempotencyKey,
    /// The content of the request. A repeat must have the same.
    pub fingerprint: RequestFingerprint,
}

/// The result of an accepted create.
#[derive(Debug, Clone, PartialEq)]
pub enum AcceptedCreate {
    /// Town, rigs and operation were inserted in one transaction. This is the operation, as it was written.
    Inserted(Box<RecordedOperation>),
    /// The same owner already used the idempotency key for the same request.
    Known {
        /// The town of the first request, live or not.
        town: TownId,
        /// The create operation of the first request, in flight or ended.
        operation: OperationId,
    },
}

/// The result of a change of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigUpdated {
    /// The town has the changed configuration.
    Done(Box<TownState>),
    /// The configuration has another version than expected. Nothing was written.
    Changed,
    /// The change is refused. Nothing was written.
    Refused(ConfigRefusal),
    /// An operation of this kind is in flight, which may remove the town. Nothing was written.
    Busy(Recorded<OperationKind>),
    /// The owner has no such live town.
    NotFound,
}

/// A town of a caller, as a change of the town begins with it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallersTown {
    /// The town, with its operation in flight.
    pub state: TownState,
    /// True if the host application has blocked the owner.
    pub owner_is_blocked: bool,
    /// The end of the idle stop that has stopped the town, if nothing has happened to it since.
    pub idle_stopped_at: Option<DateTime<Utc>>,
    /// True if a use of the town is recorded that stands for this call too.
    pub use_is_recorded: bool,
}

impl CallersTown {
    /// Returns the idle stop of the town, in flight or ended.
    pub fn idle_stop(&self) -> Option<IdleStop> {
        IdleStop::of(self.state.town.status, self.state.operation.as_ref(), self.idle_stopped_at)
    }
}

/// The health of a town.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TownHealth {
    /// The number of consecutive failed checks.
    pub failures: u32,
    /// The number of restarts within the window.
    pub restarts: u32,
    /// The start of the window of restarts.
    pub window_started_at: Option<DateTime<Utc>>,
    /// The state, as the health monitor judges it.
    pub state: Recorded<HealthState>,
    /// The time since which it is this one, by the database's clock. `None` while it is not known.
    pub since: Option<DateTime<Utc>>,
    /// The reason, while checks fail.
    pub reason: Option<Recorded<HealthReason>>,
    /// The time of the last heartbeat of the sandbox, by our clock.
    pub last_report_at: Option<DateTime<Utc>>,
    /// The report of the sandbox in that heartbeat. Older images report nothing.
    pub report: SandboxReport,
    /// The expiry of the newest token that the sandbox has. `None` if it got it from an older version.
    pub token_expires_at: Option<DateTime<Utc>>,
    /// The end of the last idle stop, by the database's clock. It is cleared once an operation reaches another goal.
    pub idle_stopped_at: Option<DateTime<Utc>>,
    /// The image that the machine has. `None` if it is not known, or if it is that of an older version.
    pub image: Option<ImageRef>,
    /// The beginning of the last drift check, by the database's clock. It may have shown nothing.
    pub checked_at: Option<DateTime<Utc>>,
    /// The beginning of the last drift check that compared the town with the provider. An older version records none.
    pub compared_at: Option<DateTime<Utc>>,
    /// Observations that differ from the row, but are too few to be confirmed. `None` for a drift of a newer version.
    pub suspicion: Option<AgreeingObservations>,
    /// The last rigs that the sandbox refused, oldest first, at most ten.
    pub refused_rigs: Vec<RefusedRig>,
    /// A confirmed external change and the time of its confirmation. An operation or a drift check clears it.
    pub drift: Option<(Recorded<Drift>, DateTime<Utc>)>,
}

/// The towns. Queries for users are restricted to the owner and never return tombstones.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Registry: Send + Sync {
    /// Inserts a town (`provisioning`), its first rigs (`pending`), its create operation and an event in one transaction.
    ///
    /// A repeat with the same idempotency key by the same owner returns [`AcceptedCreate::Known`].
    ///
    /// Errors: `TownNameTaken`, `TooManyTowns`, `KeyReused` (same key, other request), `UserUnknown`.
    async fn accept_create(&self, create: &NewCreate) -> Result<AcceptedCreate, StoreError>;

    /// Returns the details of the caller's live town with this id.
    ///
    /// One statement authorizes the caller and reads town, rigs, health and operation. Unreadable rigs are left out.
    ///
    /// Errors: `Unauthorized`.
    async fn report(&self, caller: &Caller, town: TownId) -> Result<Option<TownReport>, StoreError>;

    /// Returns a town that [`Self::report`] would return, without its rigs and its health. One statement, whose cost does not
    /// grow with the rigs, authorizes the caller and reads town and operation.
    ///
    /// Errors: `Unauthorized`.
    async fn callers_town(&self, caller: &Caller, town: TownId) -> Result<Option<CallersTown>, StoreError>;

    /// Returns the caller's live towns, oldest first, each with its operation in flight and its health in short. One statement
    /// authorizes the caller and reads the towns.
    ///
    /// Errors: `Unauthorized`.
    async fn list(&self, caller: &Caller) -> Result<Vec<TownSummary>, StoreError>;

    /// Returns a page of the history of a town that [`Self::report`] would return, newest first, or `None` if there is no
    /// such town. Only the events that an owner may see are returned. One statement authorizes the caller and reads them.
    ///
    /// Errors: `Unauthorized`.
    async fn events(&self, caller: &Caller, page: EventPage) -> Result<Option<Vec<HistoryEvent>>, StoreError>;

    /// Returns the owners of these towns, live or tombstones. Unknown ids are left out. One statement for each thousand.
    async fn owners(&self, towns: &[TownId]) -> Result<Vec<(TownId, UserId)>, StoreError>;

    /// Returns the town with this id, live or tombstone. For reconcilers and sandboxes.
    async fn load(&self, town: TownId) -> Result<Option<Town>, StoreError>;

    /// Changes the configuration of the owner's live town and records an event, if it still has the expected version.
    ///
    /// One transaction compares and changes. A change without effect is done with any version.
    async fn update_config(&self, owner: &UserId, request: &UpdateTown) -> Result<ConfigUpdated, StoreError>;

    /// Records that the owner uses the town, by the database's clock. The time never moves backwards. `minutes` is the setting
    /// of the town, whose searchable copy is written too.
    async fn record_use(&self, town: TownId, minutes: IdleMinutes) -> Result<(), StoreError>;

    /// Returns true if there is a live town with this id.
    async fn lives(&self, town: TownId) -> Result<bool, StoreError>;

    /// Records heartbeats of live towns in their rows and their health, in one transaction with one statement for each of the
    /// two tables. There is at most one heartbeat of each town.
    ///
    /// Times never move backwards, and an older report replaces no newer one. Returns the towns that live.
    async fn record_heartbeats(&self, heartbeats: &[Heartbeat]) -> Result<Vec<TownId>, StoreError>;

    /// Records that the sandbox of a live town got a token with this expiry. The time never moves backwards.
    ///
    /// Returns false if there is no such live town.
    async fn record_token(&self, town: TownId, expires_at: DateTime<Utc>) -> Result<bool, StoreError>;
}

/// The rigs of a town.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Rigs: Send + Sync {
    /// Returns the rigs of a town, oldest first.
    async fn list(&self, town: TownId) -> Result<Vec<Rig>, StoreError>;

    /// Returns one rig of a town.
    async fn find(&self, town: TownId, rig: RigId) -> Result<Option<Rig>, StoreError>;

    /// Inserts a rig of the owner's live town and records an event.
    ///
    /// Names are compared ignoring case, under a lock of the town's row.
    ///
    /// Errors: `TownNotFound`, `RigNameTaken`, `TooManyRigs` if the town has `max_rigs` rigs.
    async fn insert(&self, owner: &UserId, rig: &Rig, max_rigs: u32) -> Result<(), StoreError>;

    /// Inserts a rig as [`Self::insert`] does. In the same transaction, starts the town if it is stopped, or is being stopped,
    /// because it was idle. Returns that idle stop if the start was accepted.
    async fn insert_starting(
        &self,
        owner: &UserId,
        rig: &Rig,
        max_rigs: u32,
        start: &NewOperation,
    ) -> Result<Option<IdleStop>, StoreError>;

    /// Changes the status of a rig. Returns false if its status is not `from`.
    async fn set_status(&self, town: TownId, rig: RigId, from: RigStatus, to: RigStatus) -> Result<bool, StoreError>;

    /// Records that the sandbox has the rig: a `pending` one becomes `active`, and one without a branch gets this one. A rig
    /// that is being removed stays as it is.
    async fn confirm(&self, town: TownId, rig: RigId, branch: Option<Branch>) -> Result<(), StoreError>;

    /// Deletes the row of a `pending` rig that the sandbox refused. Records the reason in an event and in the town's health.
    ///
    /// Returns false if the rig is not `pending`.
    async fn refuse(&self, town: TownId, rig: RigId, reason: &str) -> Result<bool, StoreError>;

    /// Deletes the row of a rig that its owner removed, and records an event. Returns false if its status is not `from`.
    async fn remove(&self, town: TownId, rig: RigId, from: RigStatus) -> Result<bool, StoreError>;

    /// Returns at most `limit` live, running, idle towns that have a rig that is not `active`.
    async fn towns_with_unapplied_rigs(&self, limit: u32) -> Result<Vec<TownId>, StoreError>;
}
