//! Comparison of settled towns with the provider: towns that are due, and results to record.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{StoreError, TownChange};
use crate::{AgreeingObservations, Drift, Recorded, Town};

/// The result of one drift check of a town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftRecord {
    /// The time that [`DriftChecks::take_due`] returned with the town.
    ///
    /// The result is discarded if the town was taken again or had an operation since (FM-16).
    pub taken_at: DateTime<Utc>,
    /// The observations that agree so far, but are too few to be confirmed.
    pub suspicion: Option<AgreeingObservations>,
    /// The confirmed drift. A new one is recorded as an event.
    pub drift: Option<Recorded<Drift>>,
    /// The changes to the town's row.
    pub change: TownChange,
}

/// Drift checks of settled towns.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait DriftChecks: Send + Sync {
    /// Takes up to `limit` towns that were not checked for `every`, by the database's clock, the longest unchecked first.
    ///
    /// Only live towns that are running or stopped and have no operation in flight are due. Each is marked as taken, so
    /// that replicas share the work. Returns the town, its health, and the time for [`DriftRecord::taken_at`].
    async fn take_due(
        &self,
        limit: u32,
        every: Duration,
    ) -> Result<Vec<(Town, super::TownHealth, DateTime<Utc>)>, StoreError>;

    /// Records the result of a drift check and returns true.
    ///
    /// Returns false and writes nothing if the town has an operation in flight, or had one or was taken again since.
    async fn record(&self, town: &Town, finding: &DriftRecord) -> Result<bool, StoreError>;
}
