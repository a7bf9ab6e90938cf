//! The reads and requests of operators, the same in the database and at a running server.
//!
//! The commands use [`OperatorAccess`]. The operators' API serves [`InDatabase`] over HTTP, so that both give the same reports.

mod in_database;
mod lost_answers;
mod orphans;
pub(crate) mod rollouts;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{Clock as _, EventFilter, Ids as _, NewOperation, StoreError, TownFilter};
use gastown_domain::{OperationId, OperationKind, Town, TownId};
use gastown_orchestrator::Timeouts;
use gastown_system::{RandomIds, SystemClock};

pub(crate) use in_database::InDatabase;
pub(crate) use orphans::{grace, orphan_sweeper};

use crate::reports::{EventList, OperationEnd, OperationList, Retry, TownList, TownReport, plain};

/// An operator's access to a registry.
#[async_trait]
pub(crate) trait OperatorAccess: Send + Sync {
    /// Returns at most `limit` towns, by owner and name.
    async fn towns(&self, filter: &TownFilter, limit: u32) -> Result<TownList, AccessError>;

    /// Returns everything about a town.
    ///
    /// Errors: `NoSuchTown`.
    async fn town(&self, town: TownId) -> Result<TownReport, AccessError>;

    /// Returns at most `limit` operations in flight, and as many that failed since then, with the periodic jobs.
    async fn operations(
        &self,
        which: WhichOperations,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<OperationList, AccessError>;

    /// Returns at most `limit` events, newest first.
    async fn events(&self, filter: &EventFilter, limit: u32) -> Result<EventList, AccessError>;

    /// Requests an operation with this id on any owner's town. Returns its id, or that of one in flight that it joins.
    ///
    /// Errors: `NoSuchTown`, `Refused`.
    async fn request(
        &self,
        town: TownId,
        request: TownRequest,
        operation: OperationId,
    ) -> Result<OperationId, AccessError>;

    /// Makes the town's operation due now, and resets its failed attempts.
    ///
    /// Errors: `NoSuchTown`, `Refused`.
    async fn retry(&self, town: TownId) -> Result<Retry, AccessError>;

    /// Returns the end of an operation, or that it has none yet. `None`: it is not in flight, and no event of it is recorded.
    async fn end_of(&self, operation: OperationId) -> Result<Option<OperationEnd>, AccessError>;
}

/// The reason why there is no answer for an operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// There is no such town, or it is destroyed.
    #[error("no such town: {0}")]
    NoSuchTown(String),
    /// The registry refuses the request. Nothing was written.
    #[error("{message}")]
    Refused {
        /// The stable word for programs.
        reason: String,
        /// The text for people.
        message: String,
    },
    /// A read failed.
    #[error("failed to read the registry")]
    Read(#[source] StoreError),
    /// A write failed.
    #[error("failed to write to the registry")]
    Write(#[source] StoreError),
    /// The server did not do it.
    #[error(transparent)]
    Server(Box<dyn std::error::Error + Send + Sync>),
}

impl AccessError {
    /// Returns a refusal. Its text may have foreign parts.
    pub(crate) fn refused(reason: &str, message: &str) -> Self {
        Self::Refused { reason: reason.to_owned(), message: plain(message) }
    }
}

/// An operation that an operator requests on a town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TownRequest {
    Start,
    Stop,
    Restore,
    Destroy,
}

impl TownRequest {
    pub(crate) const ALL: [Self; 4] = [Self::Start, Self::Stop, Self::Restore, Self::Destroy];

    /// Returns the request with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|request| request.as_str() == name)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    const fn kind(self) -> OperationKind {
        match self {
            Self::Start => OperationKind::Start,
            Self::Stop => OperationKind::Stop,
            Self::Restore => OperationKind::Restore,
            Self::Destroy => OperationKind::Destroy,
        }
    }

    /// Returns the state of a town after the operation.
    pub(crate) const fn goal(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restore => "restored",
            Self::Destroy => "destroyed",
        }
    }

    /// Returns the time limit. `None`: it is never given up.
    const fn timeout(self, timeouts: &Timeouts) -> Option<Duration> {
        match self {
            Self::Start => Some(timeouts.start),
            Self::Stop => Some(timeouts.stop),
            Self::Restore => Some(timeouts.restore),
            Self::Destroy => None,
        }
    }
}

/// The operations of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhichOperations {
    /// Those in flight, and those that failed.
    All,
    /// Those in flight that failed many times in a row or cannot be read.
    Attention,
    /// Those that failed.
    Failed,
}

impl WhichOperations {
    const ALL: [Self; 3] = [Self::All, Self::Attention, Self::Failed];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Attention => "attention",
            Self::Failed => "failed",
        }
    }

    /// Returns the choice with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|which| which.as_str() == name)
    }

    pub(crate) const fn lists_in_flight(self) -> bool {
        match self {
            Self::All | Self::Attention => true,
            Self::Failed => false,
        }
    }

    pub(crate) const fn lists_failed(self) -> bool {
        match self {
            Self::All | Self::Failed => true,
            Self::Attention => false,
        }
    }

    pub(crate) const fn is_attention(self) -> bool {
        match self {
            Self::Attention => true,
            Self::All | Self::Failed => false,
        }
    }
}

/// Returns a new id for a request.
pub(crate) fn new_operation_id() -> OperationId {
    RandomIds.operation()
}

/// Returns an operation on a town that an operator requests for its owner.
fn new_operation(id: OperationId, town: &Town, kind: OperationKind, timeout: Option<Duration>) -> NewOperation {
    NewOperation {
        id,
        town: town.id,
        kind,
        requested_by: town.owner.clone(),
        at: SystemClock.now(),
        timeout,
        max_in_flight: None,
        claim: None,
    }
}
