//! Rollouts: running towns get a new image in waves, and a failed town pauses the waves.
//!
//! One row has the state, and one process at a time drives it, as a singleton job (`next_rollout_step` of the domain decides).
//! A town's turn is a restart like any other, accepted in the transaction that records the turn. So no process gives a town two
//! turns, and the owner goes first. The image itself is decided where a machine is configured, so each start gives it.

mod wave;

use std::error::Error;
use std::sync::Arc;

use gastown_domain::ports::{
    FailedTouch, ObservedRollout, RolloutEnd, RolloutLimits, SingletonJob, StoreError, WorkerId,
};
use gastown_domain::{Failure, Recorded, RolloutFacts, RolloutStep, next_rollout_step};
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;
use crate::settings::Settings;
use crate::singleton_jobs::{JobRun, until_stopped};

/// Drives the active rollout. Cheap to clone.
#[derive(Clone)]
pub struct RolloutDriver {
    ports: Ports,
    settings: Arc<Settings>,
    worker: WorkerId,
}

/// The result of one pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolloutPassReport {
    /// Towns whose restart was accepted.
    pub touched: usize,
    /// Towns that were skipped, because their owner is blocked.
    pub skipped: usize,
    /// True if the rollout was paused or ended.
    pub has_ended: bool,
}

impl RolloutDriver {
    /// Returns a driver on these ports.
    pub fn new(ports: Ports, settings: Arc<Settings>, worker: WorkerId) -> Self {
        Self { ports, settings, worker }
    }

    /// Makes a pass whenever one is due and no other replica makes it, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let every = self.settings.policy.rollout.every;
        until_stopped(&stop, self.ports.env.jitter.as_ref(), every, || self.pass_and_log()).await;
    }

    async fn pass_and_log(&self) {
        match self.pass().await {
            Ok(Some(report)) if report != RolloutPassReport::default() => {
                tracing::debug!(?report, "rollout advanced");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn Error, "failed to advance rollout"),
        }
    }

    /// Makes one pass. Returns `None` if no rollout is active, or if another replica makes the pass.
    ///
    /// Errors: the registry's. The next pass comes anyway.
    pub async fn pass(&self) -> Result<Option<RolloutPassReport>, StoreError> {
        // Most of the time there is none, and then no lease is written.
        if !self.ports.store.rollouts.is_active().await? {
            return Ok(None);
        }
        let run = JobRun {
            jobs: self.ports.store.jobs.as_ref(),
            job: SingletonJob::Rollout,
            worker: &self.worker,
            lease: self.settings.policy.timeouts.lease,
            every: self.settings.policy.rollout.every,
        };
        run.make(async { self.advance().await.map(|report| (report, None)) }).await
    }

    async fn advance(&self) -> Result<RolloutPassReport, StoreError> {
        let limits = self.limits();
        let setting = &self.settings.machine.image;
        let observed = self.ports.store.rollouts.observe(setting, &limits).await?;
        let Some(observed) = observed else { return Ok(RolloutPassReport::default()) };
        match next_rollout_step(&facts(&observed), limits.soak) {
            RolloutStep::Wait => Ok(RolloutPassReport::default()),
            RolloutStep::Touch(towns) => self.wave(&observed, towns).await,
            RolloutStep::Pause => self.pause(&observed, reason(&observed)).await,
            RolloutStep::Finish => self.finish(&observed).await,
        }
    }

    fn limits(&self) -> RolloutLimits {
        let policy = &self.settings.policy;
        RolloutLimits { soak: policy.rollout.soak, health: policy.monitor.limits }
    }

    async fn pause(&self, observed: &ObservedRollout, reason: String) -> Result<RolloutPassReport, StoreError> {
        let rollout = &observed.rollout;
        let Some(to) = rollout.state.paused() else { return Ok(RolloutPassReport::default()) };
        let end = RolloutEnd { from: rollout.state, to, reason: Some(reason.clone()) };
        let has_ended = self.ports.store.rollouts.conclude(rollout.number, &end).await?;
        if has_ended {
            tracing::error!(rollout = %rollout.number, image = %rollout.image, reason, "rollout paused");
        }
        Ok(RolloutPassReport { has_ended, ..RolloutPassReport::default() })
    }

    async fn finish(&self, observed: &ObservedRollout) -> Result<RolloutPassReport, StoreError> {
        let (rollout, counts) = (&observed.rollout, observed.counts);
        let end = RolloutEnd { from: rollout.state, to: rollout.state.ended(), reason: None };
        let has_ended = self.ports.store.rollouts.conclude(rollout.number, &end).await?;
        if has_ended {
            let state = end.to.as_str();
            tracing::info!(rollout = %rollout.number, image = %rollout.image, state, ?counts, "rollout ended");
        }
        Ok(RolloutPassReport { has_ended, ..RolloutPassReport::default() })
    }
}

fn facts(observed: &ObservedRollout) -> RolloutFacts {
    let ObservedRollout { rollout, counts, unavailable, ready, has_waiting, since_last, stuck, last_failure: _ } =
        observed;
    RolloutFacts {
        state: rollout.state,
        max_unavailable: rollout.max_unavailable,
        known_failures: rollout.known_failures,
        counts: *counts,
        unavailable: *unavailable,
        has_stuck: stuck.is_some(),
        has_ready: !ready.is_empty(),
        has_waiting: *has_waiting,
        since_last: *since_last,
    }
}

/// Returns the reason of a pause, in words.
fn reason(observed: &ObservedRollout) -> String {
    let named = |failed: &FailedTouch| format!("town {} ({})", failed.name, failed.town);
    if let Some(stuck) = &observed.stuck {
        let failure = stuck.failure.as_ref().map_or("no failure is known", Recorded::<Failure>::message);
        return format!("the restart of {} does not end: {failure}", named(stuck));
    }
    match &observed.last_failure {
        Some(failed) => match &failed.failure {
            Some(failure) => format!("the restart of {} failed: {}", named(failed), failure.message()),
            None => format!("{} became unhealthy after its restart", named(failed)),
        },
        None => "a town failed".to_owned(),
    }
}
