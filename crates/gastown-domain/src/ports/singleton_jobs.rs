//! Periodic passes over everything: one replica at a time, and what was alarming about the last one.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{StoreError, WorkerId};
use crate::text_enum::text_enum;

text_enum! {
    expected "a known pass";
    /// A pass over everything.
    pub enum SingletonJob {
        /// Settled towns are compared with Fly.
        DriftCheck = "inspection",
        /// What no row accounts for is looked for.
        Orphans = "orphans",
    }
}

text_enum! {
    expected "a known alarm";
    /// Why a pass stopped: too much was wrong at once for any of it to be believed, or nothing could be asked.
    pub enum Alarm {
        /// Many machines or volumes read as absent: a wrong app, token or region is likelier than a catastrophe (FM-33).
        ManyAbsent = "many_absent",
        /// A large part of what Fly shows belongs to no row: another registry's things, or a registry that was set back
        /// (FM-55).
        ManyOrphans = "many_orphans",
        /// Fly refused everything that was asked: our token, organization or app, and no town's fault (FM-30).
        Refused = "refused",
    }
}

/// A pass that this worker may make: the number rises with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderLease {
    /// Which.
    pub job: SingletonJob,
    /// Its fencing number.
    pub number: i64,
}

/// How a pass stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobState {
    /// Which.
    pub job: SingletonJob,
    /// When one last ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why the last one was broken off.
    pub alarm: Option<Alarm>,
}

/// Who makes a pass, and when the next is due, by the database's clock.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait SingletonJobs: Send + Sync {
    /// Takes a pass for `lease`, where the last one began longer than `every` ago and no lease on it holds (FM-52).
    async fn claim(
        &self,
        job: SingletonJob,
        worker: &WorkerId,
        lease: Duration,
        every: Duration,
    ) -> Result<Option<LeaderLease>, StoreError>;

    /// Prolongs it; answers whether it is still this worker's.
    async fn renew(&self, claim: LeaderLease, lease: Duration) -> Result<bool, StoreError>;

    /// Ends it and says how it went. Of a pass that somebody else has taken meanwhile nothing is written.
    async fn finish(&self, claim: LeaderLease, alarm: Option<Alarm>) -> Result<(), StoreError>;

    /// How every pass stands.
    async fn states(&self) -> Result<Vec<JobState>, StoreError>;
}
