//! Health checks of running towns, shared by all replicas.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::{Health, MachineId, RestartCount, TownId, UserId};

/// The need of a taken town for a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckNeed {
    /// It is running and idle.
    Check,
    /// An operation is in flight, whose end makes the next check due.
    Busy,
    /// It is not running.
    NotRunning,
}

/// A town that was taken for a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The town.
    pub town: TownId,
    /// Its owner.
    pub owner: UserId,
    /// Its recorded machine.
    pub machine: Option<MachineId>,
    /// Its need for a check.
    pub need: CheckNeed,
    /// Its health before the check.
    pub health: Health,
}

/// Towns that were taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthBatch {
    /// The mark of the batch, which is also the end of its lease. Results are discarded where a town has another mark.
    pub mark: DateTime<Utc>,
    /// The time at which the towns were taken, by the database's clock.
    pub taken_at: DateTime<Utc>,
    /// The towns.
    pub checks: Vec<HealthCheck>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRecord {
    /// The town.
    pub town: TownId,
    /// Its health after the check.
    pub health: Health,
    /// True if an event is to tell the state.
    pub is_news: bool,
    /// The time of the next check, by the database's clock. `None` if the town is not to be checked until an operation ends.
    pub next_check_at: Option<DateTime<Utc>>,
}

/// The failed check that requests a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedCheck {
    /// The counts with this restart.
    pub count: RestartCount,
    /// The time of the next check, as the result was written. An operation since has changed it.
    pub next_check_at: DateTime<Utc>,
}

/// Health checks of running towns.
///
/// Replicas take batches of the towns that are due. A taken town is not due before its lease ends, so the batch of a dead
/// replica is taken over. Each row has the mark of its batch, and a result is written only under that mark. The end of an
/// operation removes the mark and makes its town due.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait HealthChecks: Send + Sync {
    /// Makes up to `limit` running towns due that have no next check, as an older version or a restored backup leaves them.
    /// Returns their number.
    async fn enrol(&self, limit: u32) -> Result<u32, StoreError>;

    /// Takes up to `limit` towns for `lease` with one writing statement, the longest due first. Returns `None`, and writes
    /// nothing, if no town is due.
    ///
    /// If one is due, those are taken too that are due within `ahead`, so that batches are full.
    async fn take(&self, limit: u32, ahead: Duration, lease: Duration) -> Result<Option<HealthBatch>, StoreError>;

    /// Writes the results of a batch with one statement, and all news with another. Returns the towns whose result was
    /// written. Those that had an operation since, or were taken again, are left out.
    async fn record(&self, mark: DateTime<Utc>, records: &[HealthRecord]) -> Result<Vec<TownId>, StoreError>;
}
