//! Periodic jobs over all towns that one replica runs at a time, and their alarms.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{StoreError, WorkerId};
use crate::Recorded;
use crate::text_enum::text_enum;

text_enum! {
    expected "a known job";
    /// A periodic job over all towns.
    pub enum SingletonJob {
        /// Compares settled towns with the provider.
        DriftCheck = "inspection",
        /// Looks for resources that no row accounts for.
        Orphans = "orphans",
        /// Removes old history.
        Retention = "retention",
        /// Brings a new image to running towns, in waves.
        Rollout = "rollout",
    }
}

text_enum! {
    expected "a known alarm";
    /// The reason why the circuit breaker stopped a job.
    pub enum Alarm {
        /// Many machines or volumes read as absent. A wrong app, token or region is more likely than a disaster (FM-33).
        ManyAbsent = "many_absent",
        /// Many resources belong to no row. They may belong to another registry, or the registry was set back (FM-55).
        ManyOrphans = "many_orphans",
        /// The provider refused every request. The token, the organization or the app is wrong, not the towns (FM-30).
        Refused = "refused",
    }
}

impl Alarm {
    /// Returns the likely cause, and what an operator checks.
    pub const fn message(self) -> &'static str {
        match self {
            Self::ManyAbsent => {
                "too many machines or volumes read as absent, nothing was changed; check the app and the token"
            }
            Self::ManyOrphans => {
                "too many resources at the provider have no row, nothing was deleted; check that the database is the right one"
            }
            Self::Refused => "the provider refuses every request; check the token, the organization and the app",
        }
    }
}

/// The right to run a job. Each claim raises the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderLease {
    /// The job.
    pub job: SingletonJob,
    /// The fencing number.
    pub number: i64,
}

/// The last run of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobState {
    /// The job.
    pub job: SingletonJob,
    /// The end of the last run.
    pub ended_at: Option<DateTime<Utc>>,
    /// The alarm of the last run.
    pub alarm: Option<Recorded<Alarm>>,
}

/// Leader election and schedule of singleton jobs, by the database's clock.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait SingletonJobs: Send + Sync {
    /// Claims a job for `lease`, if the last run began longer than `every` ago and no lease is held (FM-52).
    async fn claim(
        &self,
        job: SingletonJob,
        worker: &WorkerId,
        lease: Duration,
        every: Duration,
    ) -> Result<Option<LeaderLease>, StoreError>;

    /// Renews a lease. Returns false if it was lost.
    async fn renew(&self, claim: LeaderLease, lease: Duration) -> Result<bool, StoreError>;

    /// Ends a run and records its alarm. Writes nothing if the lease was lost.
    async fn finish(&self, claim: LeaderLease, alarm: Option<Alarm>) -> Result<(), StoreError>;

    /// Returns the state of every job.
    async fn states(&self) -> Result<Vec<JobState>, StoreError>;
}
