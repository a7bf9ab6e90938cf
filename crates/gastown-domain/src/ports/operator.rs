//! What an operator sees and may do without touching the database by hand.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{NewOperation, Orphan, Requested, StoreError, TownHealth, WorkerId};
use crate::{Operation, OperationId, Rig, Town, TownId, UserId};

/// An operation in flight, and who drives it.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOperation {
    /// The row.
    pub operation: Operation,
    /// Whose town it is.
    pub owner: UserId,
    /// The process that holds it.
    pub held_by: Option<WorkerId>,
    /// Until when, by the database's clock.
    pub lease_expires_at: Option<DateTime<Utc>>,
}

/// A row of a town that is there and cannot be read: somebody has to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{which}")]
pub struct Unreadable {
    /// The town.
    pub town: TownId,
    /// Which row, and what of it.
    pub which: String,
}

/// What could be read, or which row could not.
pub type Readable<T> = Result<T, Unreadable>;

/// Something that happened to a town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TownEvent {
    /// When.
    pub at: DateTime<Utc>,
    /// Who asked for it or did it.
    pub actor: String,
    /// What: the kind of an operation, a drift, …
    pub action: String,
    /// What came of it.
    pub outcome: String,
    /// The code of the failure, where it failed.
    pub error: Option<String>,
    /// The operation it belongs to.
    pub operation: Option<OperationId>,
}

/// Everything that is known of a town, as far as its rows can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct TownDetails {
    /// The row, living or tombstone.
    pub town: Town,
    /// Its rigs.
    pub rigs: Vec<Rig>,
    /// Its health.
    pub health: Readable<TownHealth>,
    /// What is in flight.
    pub operation: Option<Readable<HeldOperation>>,
    /// What happened last, newest first.
    pub events: Vec<TownEvent>,
    /// What of it was seen at Fly and belongs to no row.
    pub orphans: Vec<Orphan>,
    /// Rigs, events and orphans that are left out because they cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// What became of an operator's wish to try again.
#[derive(Debug, Clone, PartialEq)]
pub enum Retried {
    /// It is due now, its failures forgotten; whoever holds it goes on, else the next sweep takes it.
    Due(Box<Operation>),
    /// There is nothing to try again.
    NothingInFlight,
    /// There is no such town.
    NotFound,
}

/// The operator's way in.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Operator: Send + Sync {
    /// Every operation in flight, most failed attempts first, then oldest first; at most `limit`.
    async fn operations(&self, limit: u32) -> Result<Vec<Readable<HeldOperation>>, StoreError>;

    /// Everything about one town, with at most `events` events. Only the town's own row must be readable.
    async fn town_details(&self, town: TownId, events: u32) -> Result<Option<TownDetails>, StoreError>;

    /// Makes the town's operation due now and forgets its failed attempts; an event says that the operator `actor` did so.
    async fn retry(&self, town: TownId, actor: &str) -> Result<Retried, StoreError>;

    /// The destroy of [`super::Operations::request`], of whomever the town is; an event says that the operator `actor`
    /// asked for it. [`NewOperation::requested_by`] is the town's owner. A tombstone that still holds an id of Fly's and has
    /// nothing in flight is removed again. An operation that cannot be read gives way: it counts as pre-empted.
    async fn destroy(&self, operation: &NewOperation, actor: &str) -> Result<Requested, StoreError>;
}
