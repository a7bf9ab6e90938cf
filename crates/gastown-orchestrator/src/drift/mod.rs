//! Drift detection: idle towns are compared with the provider, and their rows are corrected (FM-23).
//!
//! A pass observes each town (`compare_town`), assesses what it saw (`assess`, pure) and records the result. A single
//! observation changes nothing, and no absence is recorded when too much is absent at once (FM-33). Only rows change, never
//! the provider.
//!
//! All replicas share the round of a period (`shared_round`): each takes batches of its towns. Towns that agree with the
//! lists of their app (`app_lists`) need no call of their own.

mod app_lists;
mod assess;
mod compare_town;
mod pass;
mod shared_round;

use std::error::Error;
use std::sync::Arc;

use gastown_domain::ports::{Alarm, StoreError};
use tokio_util::sync::CancellationToken;

use self::app_lists::LargeApps;
use self::shared_round::SharedRound;
use crate::ports::Ports;
use crate::settings::Settings;
use crate::singleton_jobs::until_stopped;

/// Compares idle towns with the provider. Cheap to clone.
#[derive(Clone)]
pub struct DriftDetector {
    ports: Ports,
    settings: Arc<Settings>,
    large_apps: LargeApps,
}

/// The part of one replica in a pass. The counts after `taken` add up to it.
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
    pub fn new(ports: Ports, settings: Arc<Settings>) -> Self {
        Self { ports, settings, large_apps: LargeApps::default() }
    }

    /// Takes part in every pass, with all other replicas, until `stop` is cancelled.
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

    /// Takes part in the pass over every idle town that was not compared recently. Returns `None` if no pass is due, or if
    /// other replicas have taken every town or have begun another pass.
    ///
    /// Errors: the registry's. The next pass comes anyway.
    pub async fn pass(&self) -> Result<Option<DriftReport>, StoreError> {
        match SharedRound::join(&self.ports.store, &self.settings.policy).await? {
            Some(round) => self.check_all(&round).await,
            None => Ok(None),
        }
    }
}
