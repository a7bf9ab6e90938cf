//! Orphans: resources with our names or metadata that no row references. Reported, and deleted after a grace period (FM-55).
//!
//! A pass reads the inventory of every app (`inventory`) and records what no row references (`sweep`). It deletes what has
//! been an orphan for long (`verdict`, pure). Each deletion comes after a last read of the resource and the registry (`removal`).
//! Nothing is deleted on one observation, because of a gap in a list, or while too much is wrong at once. An operator can do
//! the same by hand: [`OrphanSweeper::survey`], [`OrphanSweeper::delete`].

mod inventory;
mod removal;
mod sweep;
mod verdict;

use std::error::Error;
use std::sync::Arc;

use gastown_domain::ports::{Alarm, ObservedOrphan, Orphan, ProviderError, SingletonJob, StoreError, WorkerId};
use gastown_domain::{AppName, ResourceId};
use tokio_util::sync::CancellationToken;

pub use self::removal::Removal;
pub use self::verdict::{Grace, Verdict};

use self::removal::Recording;
use crate::ports::{OrphanPorts, Ports};
use crate::settings::{Settings, ValidPolicy};
use crate::singleton_jobs::{JobRun, until_stopped};

/// Finds and deletes orphans. Cheap to clone.
#[derive(Clone)]
pub struct OrphanSweeper {
    ports: OrphanPorts,
    policy: Arc<ValidPolicy>,
    worker: WorkerId,
}

/// The result of one pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrphanReport {
    /// Apps that were read.
    pub apps: usize,
    /// Apps that could not be read.
    pub failed: usize,
    /// Our machines and volumes that were seen.
    pub seen: usize,
    /// Those that no row references.
    pub orphans: usize,
    /// Those whose deletion was requested.
    pub deleted: usize,
    /// Orphan records that were closed: referenced again, or proven absent.
    pub closed: usize,
    /// The reason why the pass stopped early.
    pub alarm: Option<Alarm>,
}

/// All orphans, as an operator sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The number of apps that were read.
    pub apps: usize,
    /// Apps that could not be read.
    pub failed: Vec<AppName>,
    /// The number of our machines and volumes that were seen.
    pub seen: usize,
    /// The orphans.
    pub orphans: Vec<FoundOrphan>,
    /// Recorded orphans that were not seen this time. The next pass proves if they are gone.
    pub unseen: Vec<Orphan>,
    /// Set when too much is wrong at once. A pass would then delete nothing.
    pub alarm: Option<Alarm>,
}

/// An orphan in a survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOrphan {
    /// The resource and its app.
    pub sighting: ObservedOrphan,
    /// Its record. `None` if no pass has seen it yet.
    pub entry: Option<Orphan>,
    /// The verdict on its deletion.
    pub verdict: Verdict,
}

/// The reason why orphans could not be searched or deleted.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The provider failed.
    #[error("failed to read orphans from the provider")]
    Provider(#[from] ProviderError),
    /// The registry failed.
    #[error("failed to read orphans from the registry")]
    Store(#[from] StoreError),
}

impl OrphanSweeper {
    /// Returns a sweeper on these ports.
    pub fn new(ports: Ports, settings: Arc<Settings>, worker: WorkerId) -> Self {
        Self::with(ports.into(), Arc::unwrap_or_clone(settings).policy, worker)
    }

    /// Returns a sweeper on the few ports it needs: no town's secrets, no sandboxes.
    pub fn with(ports: OrphanPorts, policy: ValidPolicy, worker: WorkerId) -> Self {
        Self { ports, policy: Arc::new(policy), worker }
    }

    /// Makes a pass whenever one is due and no other replica makes it, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let every = self.policy.orphans.every;
        until_stopped(&stop, self.ports.env.jitter.as_ref(), every, || self.pass_and_log()).await;
    }

    async fn pass_and_log(&self) {
        match self.pass().await {
            Ok(Some(report)) => tracing::debug!(?report, "orphan sweep finished"),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = &error as &dyn Error, "failed to sweep orphans"),
        }
    }

    /// Makes one pass over every app. Returns `None` if it is not due, or if another replica makes it or has taken it over.
    ///
    /// Errors: the list of apps or the orphan records could not be read. The next pass comes anyway. A failure in one app
    /// affects only that app.
    pub async fn pass(&self) -> Result<Option<OrphanReport>, SweepError> {
        let run = JobRun {
            jobs: self.ports.jobs.as_ref(),
            job: SingletonJob::Orphans,
            worker: &self.worker,
            lease: self.policy.timeouts.lease,
            every: self.policy.orphans.every,
        };
        let work = async { self.sweep().await.map(|report| (report, report.alarm)) };
        run.make(work).await
    }

    /// Returns what a pass would find, with the verdict under `grace` on each orphan. Writes and deletes nothing.
    ///
    /// Errors: the list of apps or the orphan records could not be read.
    pub async fn survey(&self, grace: Grace) -> Result<Survey, SweepError> {
        let inventory = self.read_inventory().await?;
        let (records, now) = self.ports.orphans.list().await?;
        let found = self.with_verdicts(&inventory, &records, now, grace);
        let is_seen = |app: &AppName, resource: &ResourceId| {
            found.iter().any(|orphan| orphan.sighting.app == *app && orphan.sighting.item.resource == *resource)
        };
        let unseen = records.iter().filter(|entry| !is_seen(&entry.app, &entry.resource)).cloned().collect();
        Ok(Survey {
            apps: inventory.read.len(),
            seen: inventory.seen(),
            alarm: inventory.alarm(self.policy.orphans.alarm_threshold),
            failed: inventory.failed,
            orphans: found,
            unseen,
        })
    }

    /// Deletes one orphan for an operator, after the same last read that a pass makes. The operator judges the age by the
    /// verdict of the survey, and may delete a second machine of a living town, which no pass does. A second volume is never
    /// deleted here, because it may hold the town's data.
    ///
    /// Errors: a read or the deletion failed. The orphan record tells if the deletion was requested.
    pub async fn delete(&self, sighting: &ObservedOrphan, actor: &str) -> Result<Removal, SweepError> {
        self.remove(sighting, Recording::First, actor).await
    }
}
