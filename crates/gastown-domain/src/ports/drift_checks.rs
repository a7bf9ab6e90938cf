//! Which towns are due to be compared with Fly, and what a comparison came to.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{StoreError, TownChange};
use crate::{AgreeingObservations, Drift, Town};

/// What one look at a settled town came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftRecord {
    /// When the town was taken for this look: the number that [`DriftChecks::take_due`] gave. A town that was taken again, or
    /// had an operation since, is not changed by it (FM-16).
    pub taken_at: DateTime<Utc>,
    /// What is suspected from now on.
    pub suspicion: Option<AgreeingObservations>,
    /// What is believed from now on; written down as an event where it is news.
    pub drift: Option<Drift>,
    /// What that changes in the row.
    pub change: TownChange,
}

/// The comparison of settled towns with what Fly shows.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait DriftChecks: Send + Sync {
    /// Takes up to `limit` living towns, running or stopped, that have no operation in flight and were not compared for
    /// `every`, by the database's clock; the longest unseen first. Each is marked as taken now, so that replicas share them.
    /// Answers the town, what is known of its health, and the time to hand back in [`DriftRecord::taken_at`].
    async fn take_due(
        &self,
        limit: u32,
        every: Duration,
    ) -> Result<Vec<(Town, super::TownHealth, DateTime<Utc>)>, StoreError>;

    /// Writes a finding, unless the town has an operation in flight or was taken or operated on since: then nothing is
    /// written. Answers whether it was.
    async fn record(&self, town: &Town, finding: &DriftRecord) -> Result<bool, StoreError>;
}
