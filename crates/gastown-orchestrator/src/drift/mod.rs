//! Drift detection: idle towns are compared with the provider, and their rows are corrected (FM-23).
//!
//! A pass observes each town (`compare_town`), assesses what it saw (`assess`, pure) and records the result. A single
//! observation changes nothing, and no absence is recorded when too much is absent at once (FM-33). Only rows change, never
//! the provider.

mod assess;
mod compare_town;
mod pass;
mod volume_list_cache;

use std::error::Error;
use std::sync::Arc;

use gastown_domain::ports::{Alarm, SingletonJob, StoreError, WorkerId};
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;
use crate::settings::Settings;
use crate::singleton_jobs::{JobRun, until_stopped};

/// Compares idle towns with the provider. Cheap to clone.
#[derive(Clone)]
pub struct DriftDetector {
    ports: Ports,
    settings: Arc<Settings>,
    worker: WorkerId,
}

/// The result of one pass. The counts after `taken` add up to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DriftReport {
    /// Towns that were taken.
    pub taken: usize,
    /// Towns that are as their row says, or lost what they are known to have lost.
    pub agreed: usize,
    /// Towns of which nothing could be said or recorded: unknown, changing, or an operation came in between.
    pub undecided: usize,
    /// Towns that differ from their row in too few observations so far.
    pub suspected: usize,
    /// Towns whose row was corrected.
    pub corrected: usize,
    /// The reason why the pass stopped early.
    pub alarm: Option<Alarm>,
}

impl DriftDetector {
    /// Returns a detector on these ports.
    pub fn new(ports: Ports, settings: Arc<Settings>, worker: WorkerId) -> Self {
        Self { ports, settings, worker }
    }

    /// Makes a pass whenever one is due and no other replica makes it, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let every = self.settings.policy.drift.every;
        until_stopped(&stop, self.ports.env.jitter.as_ref(), every, || self.pass_and_log()).await;
    }

    async fn pass_and_log(&self) {
        match self.pass().await {
            Ok(Some(report)) => tracing::debug!(?report, "drift check finished"),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "failed to check for drift");
            }
        }
    }

    /// Makes one pass over every idle town that was not compared recently. Returns `None` if it is not due, or if another
    /// replica makes it or has taken it over.
    ///
    /// Errors: the registry's. The next pass comes anyway.
    pub async fn pass(&self) -> Result<Option<DriftReport>, StoreError> {
        let policy = &self.settings.policy;
        let run = JobRun {
            jobs: self.ports.store.jobs.as_ref(),
            job: SingletonJob::DriftCheck,
            worker: &self.worker,
            lease: policy.timeouts.lease,
            every: policy.drift.every,
        };
        let work = async { self.check_all().await.map(|report| (report, report.alarm)) };
        run.make::<_, StoreError>(work).await
    }
}
