//! Towns and rigs, as they are remembered.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{IdempotencyKey, NewOperation, RequestFingerprint, StoreError};
use crate::{AgreeingObservations, Drift, NewTown, OperationId, Rig, RigId, RigStatus, Town, TownId, UserId};

/// A town to be accepted, with everything that is written in the same transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCreate {
    /// The town and its first rigs.
    pub town: NewTown,
    /// Its create.
    pub operation: NewOperation,
    /// The request's idempotency key and what it asked for.
    pub keyed: Option<KeyedRequest>,
    /// How many living towns its owner may have, this one included; counted in the same transaction (FM-54).
    pub max_towns: u32,
}

/// A request that may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// What its repeats carry too.
    pub key: IdempotencyKey,
    /// What it asks for: a repeat asks for the same.
    pub fingerprint: RequestFingerprint,
}

/// What became of an accepted create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptedCreate {
    /// Town, rigs and operation were inserted in one transaction.
    Inserted,
    /// The same owner used the idempotency key before, for the same request.
    Known {
        /// That town, living or not.
        town: TownId,
        /// Its create, in flight or ended.
        operation: OperationId,
    },
}

/// What is known of a town's health.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TownHealth {
    /// Failed checks in a row.
    pub failures: u32,
    /// Restarts within the window.
    pub restarts: u32,
    /// When the window of restarts began.
    pub window_started_at: Option<DateTime<Utc>>,
    /// The last report of the sandbox, by our clock.
    pub last_report_at: Option<DateTime<Utc>>,
    /// When the town was last compared with Fly, by the database's clock.
    pub checked_at: Option<DateTime<Utc>>,
    /// What looks unlike the row, but has not been seen often enough to be believed.
    pub suspicion: Option<AgreeingObservations>,
    /// What happened behind our back, and when it was believed; until an operation or a look puts it right.
    pub drift: Option<(Drift, DateTime<Utc>)>,
}

/// The towns. Finders for users take the owner and hide tombstones.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Registry: Send + Sync {
    /// Inserts the town (`provisioning`), its first rigs (`pending`) and its create operation in one transaction, and
    /// records who asked. With an idempotency key, a repeat by the same owner answers [`AcceptedCreate::Known`].
    ///
    /// Errors: `TownNameTaken`, `TooManyTowns`, `KeyReused` (same key, other request), `UserUnknown`.
    async fn accept_create(&self, create: &NewCreate) -> Result<AcceptedCreate, StoreError>;

    /// The owner's living town of this id.
    async fn find(&self, owner: &UserId, town: TownId) -> Result<Option<Town>, StoreError>;

    /// The owner's living towns, oldest first.
    async fn list(&self, owner: &UserId) -> Result<Vec<Town>, StoreError>;

    /// The town of this id, living or tombstone, for drivers and sandboxes.
    async fn load(&self, town: TownId) -> Result<Option<Town>, StoreError>;

    /// Records a sign of life of a living town, in its row and its health, never moving a time backwards; answers whether
    /// there is such a town.
    async fn heartbeat(&self, town: TownId, at: DateTime<Utc>) -> Result<bool, StoreError>;

    /// What is known of a town's health; the default where nothing was recorded.
    async fn health(&self, town: TownId) -> Result<TownHealth, StoreError>;
}

/// The rigs of a town.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Rigs: Send + Sync {
    /// A town's rigs, oldest first.
    async fn list(&self, town: TownId) -> Result<Vec<Rig>, StoreError>;

    /// One rig of a town.
    async fn find(&self, town: TownId, rig: RigId) -> Result<Option<Rig>, StoreError>;

    /// Inserts a rig of the owner's living town, comparing names without regard to case under a lock of the town's row,
    /// and records who asked.
    ///
    /// Errors: `TownNotFound`, `RigNameTaken`.
    async fn insert(&self, owner: &UserId, rig: &Rig) -> Result<(), StoreError>;

    /// Sets a rig's status where it is `from`; answers whether it was.
    async fn set_status(&self, town: TownId, rig: RigId, from: RigStatus, to: RigStatus) -> Result<bool, StoreError>;

    /// Deletes a rig's row where its status is `from`, and records it; answers whether it was. A `pending` rig goes because
    /// the sandbox refused it, any other because its owner removed it.
    async fn remove(&self, town: TownId, rig: RigId, from: RigStatus) -> Result<bool, StoreError>;

    /// Living, running towns without an operation in flight that have rigs not `active`, at most `limit`.
    async fn towns_with_unapplied_rigs(&self, limit: u32) -> Result<Vec<TownId>, StoreError>;
}
