//! Applying an outcome: from the decision and what its action returned to the next state of the row. Pure: attempts,
//! deadlines and backoff.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Awaited, Deletion, OperationResult, OperationUpdate, ProviderError, TownChange};
use gastown_domain::{Failure, Operation, OperationKind, Phase, Progress, Recorded, Region, Rejection, StepName};

use super::attempts::{Alert, failures_after, pause_after_failure};
use super::deadline::{self, is_unbounded};
use super::decide::{Decision, makes_machine};
use super::ending::{Undo, ending, undo};
use super::outcome::Outcome;
use super::regions::Regions;
use super::retry_policy::{Reaction, RegionRefusal, lost_volume, reaction};
use super::update::update;
use crate::settings::Policy;

/// The next state of the row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// Write this state and go on.
    Update(Box<OperationUpdate>),
    /// End the operation.
    Finish {
        /// Its last state.
        operation: Box<Operation>,
        /// The result.
        result: OperationResult,
        /// Changes to the town's row.
        town: TownChange,
    },
}

/// The next state of the row, and what to log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Applied {
    pub(super) next: Next,
    pub(super) notice: Option<Notice>,
}

/// An event for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// The operation failed many times in a row and is retried slowly from now on.
    NeedsAttention(Failure),
    /// The provider refuses the service until an operator acts.
    Misconfigured,
    /// The goal is given up.
    GivingUp(Failure),
    /// A region has no capacity, and the next one is tried.
    NextRegion(Region),
    /// The provider does not offer a region of the list.
    RegionRetired(Region),
}

/// The inputs of [`apply`] besides the decision and the outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) policy: &'a Policy,
    pub(super) regions: &'a [Region],
    /// A random number in `0.0..1.0`, for jitter.
    pub(super) fraction: f64,
}

/// Returns the next state of the row after an outcome.
pub(super) fn apply(decision: &Decision, outcome: Outcome, context: Context<'_>) -> Applied {
    let applying = Applying { decision, context, operation: decision.operation.clone() };
    let after = |step| Phase::after(decision.operation.kind, step);
    match outcome {
        Outcome::Starting
        | Outcome::Stopping
        | Outcome::Reached(Awaited::Started | Awaited::Stopped | Awaited::Destroyed)
        | Outcome::MachineDeleted(Deletion::Accepted)
        | Outcome::VolumeDeleted(Deletion::Accepted) => applying.unchanged(),
        Outcome::MachineDeleted(Deletion::AlreadyAbsent) => applying.machine_contradicted().unchanged(),
        Outcome::VolumeDeleted(Deletion::AlreadyAbsent) => applying.volume_contradicted().unchanged(),
        Outcome::VolumeCreated { volume, queued } => {
            let change =
                TownChange { volume: Some(Some(volume.id)), region: Some(volume.region), ..TownChange::default() };
            applying.queued(queued).volume_answered().succeeded(None, change)
        }
        Outcome::MachineCreated { machine, queued } => {
            let change = TownChange { machine: Some(Some(machine.id)), ..TownChange::default() };
            let phase = after(StepName::CreateMachine);
            applying.queued(queued).machine_answered().image_confirmed().succeeded(phase, change)
        }
        Outcome::MachineUpdated(_) => {
            applying.image_confirmed().succeeded(after(StepName::UpdateMachine), TownChange::default())
        }
        Outcome::Synced { at } => {
            let change = TownChange { synced_at: at, ..TownChange::default() };
            applying.synced(at.is_some()).succeeded(after(StepName::FinalSync), change)
        }
        Outcome::SandboxReady => applying.succeeded(after(StepName::PrepareSandbox), TownChange::default()),
        Outcome::Restored { saved_at } => applying.restored(saved_at),
        Outcome::SoftDeleted { at } => {
            let change = TownChange { soft_deleted_at: Some(at), ..TownChange::default() };
            applying.succeeded(after(StepName::SoftDelete), change)
        }
        Outcome::StateNotReached(failure) => applying.not_reached(failure.into(), Duration::ZERO),
        Outcome::SandboxNotReady => {
            let poll = context.policy.backoff.poll_interval;
            applying.not_reached(Failure::SandboxUnhealthy.into(), poll)
        }
        Outcome::Waiting(default) => {
            let failure = applying.operation.last_error.clone().unwrap_or_else(|| default.into());
            applying.not_reached(failure, context.policy.backoff.poll_interval)
        }
        Outcome::Finished => applying.finished(),
        Outcome::VolumeLost => applying.react(lost_volume(decision.operation.kind)),
        Outcome::GaveUp(failure) | Outcome::NotPrepared(failure) => applying.without_create().give_up(failure),
        Outcome::Failed { step, error, queued } => applying.queued(queued).failed(step, &error),
    }
}

/// One application, as it goes through its stages.
struct Applying<'a> {
    decision: &'a Decision,
    context: Context<'a>,
    operation: Operation,
}

impl Applying<'_> {
    fn queued(self, wait: Duration) -> Self {
        Self { operation: deadline::extended(self.operation, wait, self.context.policy), ..self }
    }

    fn volume_answered(mut self) -> Self {
        self.operation.progress.unconfirmed_volume = self.operation.progress.unconfirmed_volume.answered();
        self.operation.progress.volume_made = true;
        self
    }

    fn machine_answered(mut self) -> Self {
        self.operation.progress.unconfirmed_machine = self.operation.progress.unconfirmed_machine.answered();
        self.operation.progress.machine_made = true;
        self
    }

    /// The provider has confirmed that the machine has its new configuration.
    fn image_confirmed(mut self) -> Self {
        self.operation.progress.image_confirmed = self.operation.progress.image.is_some();
        self
    }

    /// The recorded machine does not exist, or the provider does not show it yet. Its absence needs a proof.
    fn machine_contradicted(mut self) -> Self {
        let looks = self.context.policy.limits.agreeing_observations;
        self.operation.progress.unconfirmed_machine = self.operation.progress.unconfirmed_machine.contradicted(looks);
        self
    }

    /// The recorded volume does not exist, or the provider does not show it yet. Its absence needs a proof.
    fn volume_contradicted(mut self) -> Self {
        let looks = self.context.policy.limits.agreeing_observations;
        self.operation.progress.unconfirmed_volume = self.operation.progress.unconfirmed_volume.contradicted(looks);
        self
    }

    /// Handles a success that changes neither the phase nor the town.
    fn unchanged(self) -> Applied {
        self.succeeded(None, TownChange::default())
    }

    fn restored(mut self, saved_at: DateTime<Utc>) -> Applied {
        self.operation.progress.saved_at = Some(saved_at);
        let phase = Phase::after(self.operation.kind, StepName::PrepareSandbox);
        self.succeeded(phase, TownChange::default())
    }

    fn synced(mut self, synced: bool) -> Self {
        self.operation.progress.synced = Some(synced);
        self
    }

    /// Takes the recorded create back, because it was certainly not applied. Time in rate limits still counts.
    fn without_create(mut self) -> Self {
        let queued_ms = self.operation.progress.queued_ms;
        self.operation.progress = Progress { queued_ms, ..self.decision.before_create.clone() };
        self
    }

    /// Handles a success. A step that succeeds repeatedly without an effect is repeated more and more slowly. Lists lag
    /// (FM-32), and a deletion without effect must not flood the provider (FM-14).
    fn succeeded(mut self, phase: Option<Phase>, change: TownChange) -> Applied {
        let policy = self.context.policy;
        // After a failure this is the first success.
        let again = self.decision.repeated && self.operation.last_error.is_none();
        let before = self.operation.attempt;
        let has_effect = phase.is_some() || change != TownChange::default();
        if again {
            self.operation.attempt = before.saturating_add(1);
        } else if has_effect || !is_unbounded(&self.operation) {
            self.operation.attempt = 0;
        }
        let (wait, alert) = if again {
            let (pause, alert) = pause_after_failure(&self.operation, before, policy, self.context.fraction);
            (policy.backoff.poll_interval.max(pause), alert)
        } else {
            (Duration::ZERO, None)
        };
        self.operation.last_error = None;
        self.operation.phase = phase.unwrap_or(self.operation.phase);
        self.update(change, wait, needs_attention(alert))
    }

    /// Nothing failed, and the goal is not reached. A bounded operation polls. An unbounded one backs off, unless the
    /// observations are to prove an absence.
    fn not_reached(mut self, failure: Recorded<Failure>, soon: Duration) -> Applied {
        self.operation.last_error = Some(failure);
        // What is past its deadline and may not be called failed (see `decide`) is unbounded too.
        let is_late = self.operation.deadline_at.is_some_and(|deadline| self.decision.now >= deadline);
        let backs_off = is_unbounded(&self.operation) || (stops(self.operation.kind) && is_late);
        if !backs_off || self.proves_absence() {
            return self.update(TownChange::default(), soon, None);
        }
        let before = self.operation.attempt;
        self.operation.attempt = before.saturating_add(1);
        let (pause, alert) = pause_after_failure(&self.operation, before, self.context.policy, self.context.fraction);
        self.update(TownChange::default(), soon.max(pause), needs_attention(alert))
    }

    fn proves_absence(&self) -> bool {
        let step = self.operation.step.as_ref().and_then(Recorded::known);
        let waits = step == Some(StepName::ObserveAgain) || step == Some(StepName::AwaitUnconfirmed);
        waits && self.decision.awaits_proof
    }

    fn failed(self, step: StepName, error: &ProviderError) -> Applied {
        let reaction = reaction(self.operation.kind, step, error);
        let applying = if error.may_be_applied() { self } else { self.without_create() };
        applying.react(reaction)
    }

    fn react(self, reaction: Reaction) -> Applied {
        match reaction {
            Reaction::NextRegion(refusal) => self.next_region(refusal),
            Reaction::GiveUp(failure) => self.give_up(failure),
            Reaction::Retry { failure, after, unclassified } => {
                if unclassified && self.attempts_are_exhausted() {
                    self.give_up(failure)
                } else {
                    self.retry(failure, after.unwrap_or_default())
                }
            }
        }
    }

    fn attempts_are_exhausted(&self) -> bool {
        let attempts = self.operation.attempt.saturating_add(1);
        let is_bounded = match self.operation.kind {
            OperationKind::Create | OperationKind::Restore => true,
            OperationKind::Start
            | OperationKind::Stop
            | OperationKind::Restart
            | OperationKind::Destroy
            | OperationKind::RollBack
            | OperationKind::UndoRestore => false,
        };
        is_bounded && attempts >= self.context.policy.limits.create_attempts
    }

    /// Records the refusal of the region and goes on with the next one, if any is left.
    fn next_region(mut self, refusal: RegionRefusal) -> Applied {
        let Some(region) = self.decision.region() else { return self.give_up(Failure::NoCapacity) };
        let regions = Regions { wished: self.decision.wished_region.as_ref(), offered: self.context.regions };
        let applied = match regions.after_refusal(self.operation.progress.clone(), &region, refusal) {
            Ok(progress) => {
                self.operation.progress = progress;
                let applied = self.succeeded(None, TownChange::default());
                Applied { notice: applied.notice.or(Some(Notice::NextRegion(region.clone()))), ..applied }
            }
            Err(failure) => self.give_up(failure),
        };
        match refusal {
            RegionRefusal::Full | RegionRefusal::HostFull => applied,
            // An operator must act on it, whatever becomes of this create.
            RegionRefusal::Retired => {
                let alert = applied.notice.filter(|notice| matches!(notice, Notice::NeedsAttention(_)));
                Applied { notice: alert.or(Some(Notice::RegionRetired(region))), next: applied.next }
            }
        }
    }

    /// Retries after the backoff, and no sooner than `least`.
    fn retry(mut self, failure: Failure, least: Duration) -> Applied {
        let is_news = self.operation.last_error != Some(failure.into());
        let before = self.operation.attempt;
        self.operation.attempt = failures_after(&self.operation, failure, self.context.policy);
        self.operation.last_error = Some(failure.into());
        // Operations that a rate limit sent away together return one by one.
        let least = least.mul_f64(1.0 + self.context.fraction / 4.0);
        let (pause, alert) = pause_after_failure(&self.operation, before, self.context.policy, self.context.fraction);
        let wait = pause.max(least);
        if failure == Failure::Throttled {
            self = self.queued(wait);
        }
        let misconfigured = (is_news && failure == Failure::ProviderMisconfigured).then_some(Notice::Misconfigured);
        self.update(TownChange::default(), wait, needs_attention(alert).or(misconfigured))
    }

    /// The goal cannot be reached: undo a create or a start, end a stop, go on with a removal.
    fn give_up(self, failure: Failure) -> Applied {
        match undo(&self.operation, self.decision.town_status) {
            Undo::Nothing => {
                let result = Err(Rejection::Failed(failure.into()));
                self.finish(result, TownChange::default(), Some(Notice::GivingUp(failure)))
            }
            Undo::By(kind, phase) => {
                let operation = Operation {
                    kind,
                    phase,
                    cause: Some(failure.into()),
                    last_error: Some(failure.into()),
                    attempt: 0,
                    ..self.operation
                };
                Self { operation, ..self }.update(
                    TownChange::default(),
                    Duration::ZERO,
                    Some(Notice::GivingUp(failure)),
                )
            }
            Undo::Never => self.retry(failure, Duration::ZERO),
        }
    }

    /// Ends an operation whose goal, or whose undo, is reached.
    fn finished(mut self) -> Applied {
        if makes_machine(self.operation.kind) {
            // The machine is of one of its creates, which all had this image.
            self = self.image_confirmed();
        }
        let (result, change) = ending(&self.operation, self.decision.town_status);
        self.finish(result, change, None)
    }

    fn finish(self, result: OperationResult, change: TownChange, notice: Option<Notice>) -> Applied {
        Applied { next: Next::Finish { operation: Box::new(self.operation), result, town: change }, notice }
    }

    /// Writes the operation. A long wait holds neither claim nor permit.
    fn update(self, change: TownChange, wait: Duration, notice: Option<Notice>) -> Applied {
        let policy = self.context.policy;
        let hold = (wait <= policy.backoff.park_after).then(|| policy.timeouts.lease + wait);
        Applied { next: Next::Update(Box::new(update(self.operation, change, wait, hold))), notice }
    }
}

/// Returns true for the operations that stop a machine and keep it.
const fn stops(kind: OperationKind) -> bool {
    match kind {
        OperationKind::Stop | OperationKind::Restart => true,
        OperationKind::Create
        | OperationKind::Start
        | OperationKind::Destroy
        | OperationKind::RollBack
        | OperationKind::Restore
        | OperationKind::UndoRestore => false,
    }
}

fn needs_attention(alert: Option<Alert>) -> Option<Notice> {
    alert.map(|Alert(failure)| Notice::NeedsAttention(failure))
}

#[cfg(test)]
mod tests;
