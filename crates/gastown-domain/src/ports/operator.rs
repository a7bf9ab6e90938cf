//! Reads and actions of an operator, so that none of them needs manual SQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    AuditedEvent, EventFilter, ListedTown, NewOperation, Orphan, Requested, StoreError, TownFilter, TownHealth,
    WorkerId,
};
use crate::{OperationId, RecordedOperation, Rig, Town, TownId, UserId};

/// An operation in flight, with its town's owner and its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOperation {
    /// The operation.
    pub operation: RecordedOperation,
    /// The owner of the town.
    pub owner: UserId,
    /// The name of the town. A text, because the row of the town may break a rule.
    pub name: String,
    /// The worker that holds the lease.
    pub held_by: Option<WorkerId>,
    /// The expiry of the lease, by the database's clock.
    pub lease_expires_at: Option<DateTime<Utc>>,
}

/// A row that exists but cannot be read and must be repaired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{which}")]
pub struct Unreadable {
    /// The town.
    pub town: TownId,
    /// The row and the column.
    pub which: String,
}

/// A value that was read, or the row that could not be read.
pub type Readable<T> = Result<T, Unreadable>;

/// An event in the history of a town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TownEvent {
    /// The time of the event.
    pub at: DateTime<Utc>,
    /// The user, operator or component that caused it.
    pub actor: String,
    /// The action, such as the kind of an operation, or `drift`.
    pub action: String,
    /// The outcome.
    pub outcome: String,
    /// The code of the failure, if it failed.
    pub error: Option<String>,
    /// The operation that the event belongs to.
    pub operation: Option<OperationId>,
    /// The last step that an ended operation had begun, if it is recorded.
    pub last_step: Option<String>,
}

/// All readable rows of a town.
#[derive(Debug, Clone, PartialEq)]
pub struct TownDetails {
    /// The row of the town, live or tombstone.
    pub town: Town,
    /// The rigs.
    pub rigs: Vec<Rig>,
    /// The health.
    pub health: Readable<TownHealth>,
    /// The operation in flight.
    pub operation: Option<Readable<HeldOperation>>,
    /// The latest events, newest first.
    pub events: Vec<TownEvent>,
    /// The orphans of the town.
    pub orphans: Vec<Orphan>,
    /// The rigs, events and orphans that are missing above because they cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// The result of an operator's retry.
#[derive(Debug, Clone, PartialEq)]
pub enum Retried {
    /// The operation is due now and its failures are reset. A current holder continues, otherwise the next sweep takes it.
    Due(Box<RecordedOperation>),
    /// The operation is of a newer version, which alone retries it. Nothing was written.
    Newer(Box<RecordedOperation>),
    /// The town has no operation in flight.
    NothingInFlight,
    /// There is no such town.
    NotFound,
}

/// A town that is rebuilt from what the provider and its sandbox show.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    /// The row of the town.
    pub town: Town,
    /// The rigs that its sandbox lists. `None` if it was not asked or did not answer.
    pub rigs: Option<Vec<Rig>>,
}

/// The result of an adoption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// The row was inserted.
    Inserted,
    /// The registry has a row of this town, live or tombstone. Nothing was written.
    Known,
}

/// The operator's access to the registry.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Operator: Send + Sync {
    /// Returns at most `limit` operations in flight, most failed attempts first, then oldest first.
    async fn operations(&self, limit: u32) -> Result<Vec<Readable<HeldOperation>>, StoreError>;

    /// Returns at most `limit` towns, by owner and name.
    async fn towns(&self, filter: &TownFilter, limit: u32) -> Result<Vec<Readable<ListedTown>>, StoreError>;

    /// Returns at most `limit` events, newest first.
    async fn audit(&self, filter: &EventFilter, limit: u32) -> Result<Vec<AuditedEvent>, StoreError>;

    /// Returns all rows of one town, with at most `events` events. Only the town's own row must be readable.
    ///
    /// `names` are the names of the town's resources at the provider. An orphan with one of them counts as the town's, even
    /// if the town was not registered when the orphan was seen.
    async fn town_details(
        &self,
        town: TownId,
        names: &[String],
        events: u32,
    ) -> Result<Option<TownDetails>, StoreError>;

    /// Returns true if the operation is in flight, or an event of it is recorded.
    async fn is_known(&self, operation: OperationId) -> Result<bool, StoreError>;

    /// Makes the town's operation due now, resets its failed attempts, and records an event with the operator `actor`.
    async fn retry(&self, town: TownId, actor: &str) -> Result<Retried, StoreError>;

    /// Requests a start or stop as [`super::Operations::request`] does, of any owner's town. The event names the operator
    /// `actor`, and [`NewOperation::requested_by`] is the town's owner.
    async fn request_as(&self, operation: &NewOperation, actor: &str) -> Result<Requested, StoreError>;

    /// Inserts the rows of a town that the registry has lost. Creates nothing at the provider. The event names the operator
    /// `actor`, and says what is not known of the town.
    ///
    /// Errors: `TownNameTaken`, `UserUnknown`.
    async fn adopt(&self, adoption: &Adoption, actor: &str) -> Result<Adopted, StoreError>;

    /// Requests a destroy as [`super::Operations::request`] does, of any owner's town.
    ///
    /// [`NewOperation::requested_by`] is the town's owner, and the event names the operator `actor`. A tombstone that still
    /// holds a resource id and has no operation in flight is destroyed again. An operation that cannot be read is replaced
    /// as one of a newer version is, and counts as pre-empted.
    async fn destroy(&self, operation: &NewOperation, actor: &str) -> Result<Requested, StoreError>;
}
