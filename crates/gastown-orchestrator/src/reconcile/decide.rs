//! Deciding the next action, from the operation and what was observed. Pure: deadlines, giving up and skipping a sync.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{ProviderError, TownChange};
use gastown_domain::{
    Failure, Observation, Operation, OperationKind, Phase, Power, Progress, Recorded, Region, Seen, Step, StepEffect,
    StepName, Town, TownStatus, UnconfirmedCreate, plan,
};

use super::deadline;
use super::observe::Observed;
use super::regions::{NextRegion, Regions};
use crate::settings::Policy;

/// The next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Execute this step.
    Execute(Step),
    /// Give up: undo a create or start, end a stop, go on with a removal.
    GiveUp(Failure),
}

/// The write before the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Write the operation and the change to the town's row.
    Write,
    /// Renew the lease only. Nothing has changed.
    Renew,
    /// Write nothing. The action makes no call, or waits for a machine of which the row knows everything.
    Skip,
}

/// A decision, with everything that its execution and the next state depend on.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) action: Action,
    pub(super) intent: Intent,
    /// The operation as it stands before the action.
    pub(super) operation: Operation,
    /// The progress to return to where a create was certainly not applied.
    pub(super) before_create: Progress,
    /// The changes of the town's row that follow from the observation.
    pub(super) town: TownChange,
    pub(super) town_status: TownStatus,
    /// The region in the town's row.
    pub(super) wished_region: Option<Region>,
    /// The failed call that left something unknown.
    pub(super) error: Option<ProviderError>,
    /// True when the last step is the same as this one.
    pub(super) repeated: bool,
    /// True when the operation waits only for a proof of absence.
    pub(super) awaits_proof: bool,
    /// The database's time from before the observation.
    pub(super) now: DateTime<Utc>,
}

impl Decision {
    /// Returns the step to execute, or `None` to give up.
    pub(super) const fn step(&self) -> Option<&Step> {
        match &self.action {
            Action::Execute(step) => Some(step),
            Action::GiveUp(_) => None,
        }
    }

    /// Returns the region of the create, or `None` for every other action.
    pub(super) fn region(&self) -> Option<Region> {
        self.step().and_then(Step::create_region).cloned()
    }
}

/// The times that a decision depends on, by the database's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The time before the observation.
    pub(super) before: DateTime<Utc>,
    /// The present time.
    pub(super) now: DateTime<Utc>,
    /// Time that the observation spent in rate limits.
    pub(super) queued: Duration,
}

/// An operation and its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Driven<'a> {
    /// The operation as it stands, which may be ahead of the row.
    pub(super) operation: &'a Operation,
    /// The operation as the row records it.
    pub(super) row: &'a Operation,
    /// True if changes of the town's row are not written yet.
    pub(super) town_unwritten: bool,
}

/// Decides the next action of an operation.
pub(super) fn decide(
    driven: Driven<'_>,
    town: &Town,
    mut observed: Observed,
    times: Times,
    policy: &Policy,
    regions: &[Region],
) -> Decision {
    let Driven { operation, row, town_unwritten } = driven;
    let awaits_proof = observed.awaits_proof() && !awaits_state(operation, &observed);
    let town_unwritten = town_unwritten || observed.change != TownChange::default();
    let next = after_observation(operation, &observed, times.queued, policy);
    let region = Regions { wished: town.region.as_ref(), offered: regions }.next(&next.progress);
    let (town_change, error) = (observed.change.clone(), observed.error.take());
    let step = plan(next.kind, next.phase, &observation(&next, observed, region.as_ref()));
    let repeated = operation.step.as_ref().and_then(Recorded::known) == Some(step.name());
    let mut next = begun_to_replace(Operation { step: Some(step.name().into()), ..next });
    let action = overdue(&next, times.before).map_or(Action::Execute(step), Action::GiveUp);
    if let (Action::Execute(Step::CreateVolume(_)), Some(region)) = (&action, region) {
        let NextRegion { progress: Progress { second_round, full_hosts, refused_regions, .. }, .. } = region;
        next.progress = Progress { second_round, full_hosts, refused_regions, ..next.progress };
    }
    if let Action::Execute(step) = &action {
        next.progress = next.progress.began(step.name(), times.now);
    }
    let before_create = next.progress.clone();
    if let Action::Execute(step) = &action {
        next.progress = with_create_recorded(next.progress, step.name(), times.now, policy);
    }
    let unwritten = town_unwritten || !records_the_same(row, &next);
    Decision {
        intent: intent(&action, unwritten, repeated),
        action,
        operation: next,
        before_create,
        town: town_change,
        town_status: town.status,
        wished_region: town.region.clone(),
        error,
        repeated,
        awaits_proof,
        now: times.before,
    }
}

/// Returns a restore that is about to create a volume, after the loss was proven again. From now on what is found by the
/// town's names is of this operation. Every other operation stays as it is.
fn begun_to_replace(operation: Operation) -> Operation {
    let creates = operation.step.as_ref().and_then(Recorded::known) == Some(StepName::CreateVolume);
    let phase = Phase::after(operation.kind, StepName::CreateVolume);
    let (Some(phase), Phase::Begun, true) = (phase, operation.phase, creates) else { return operation };
    // The old machine is proven absent, so a doubt about it is over.
    let unconfirmed_machine = UnconfirmedCreate::default();
    let progress = Progress { unconfirmed_machine, machine_missing: false, ..operation.progress };
    Operation { phase, progress, ..operation }
}

/// Returns the operation after an observation, before the next step is planned.
fn after_observation(operation: &Operation, observed: &Observed, queued: Duration, policy: &Policy) -> Operation {
    let mut next = Operation { progress: observed.progress.clone(), ..operation.clone() };
    if skips_sync(operation, observed, policy) {
        next.phase = Phase::Prepared;
        next.progress.synced = Some(false);
    }
    if observed.change != TownChange::default() {
        // What the provider shows is progress. A call that succeeded is not (FM-14).
        next.attempt = 0;
    }
    deadline::extended(next, queued, policy)
}

/// Returns the input of the plan.
fn observation(operation: &Operation, observed: Observed, region: Option<&NextRegion>) -> Observation {
    let may_be_lost = makes_machine(operation.kind) && operation.progress.machine_made;
    Observation {
        machine_lost: may_be_lost && observed.machine == Seen::Absent,
        machine: observed.machine,
        volume: observed.volume,
        create_pending: observed.create_pending,
        sync_tried: operation.progress.synced.is_some(),
        next_region: region.map(|next| next.region.clone()),
    }
}

/// Returns true for the operations that make a machine on a new volume. Its absence is a loss then.
pub(super) const fn makes_machine(kind: OperationKind) -> bool {
    match kind {
        OperationKind::Create | OperationKind::Restore => true,
        OperationKind::Start
        | OperationKind::Stop
        | OperationKind::Restart
        | OperationKind::Destroy
        | OperationKind::RollBack
        | OperationKind::UndoRestore => false,
    }
}

/// Decides to give up before any observation.
pub(super) fn give_up_unobserved(operation: &Operation, town: &Town, failure: Failure, now: DateTime<Utc>) -> Decision {
    Decision {
        action: Action::GiveUp(failure),
        intent: Intent::Skip,
        operation: operation.clone(),
        before_create: operation.progress.clone(),
        town: TownChange::default(),
        town_status: town.status,
        wished_region: town.region.clone(),
        error: None,
        repeated: false,
        awaits_proof: false,
        now,
    }
}

/// Returns true when a destroy stops waiting for an observation that would only tell if a final sync is possible (FM-12).
fn skips_sync(operation: &Operation, observed: &Observed, policy: &Policy) -> bool {
    let awaits_sync = operation.kind == OperationKind::Destroy && operation.phase == Phase::Begun;
    let is_changing = match &observed.machine {
        Seen::Present(machine) => machine.power == Power::Changing,
        Seen::Absent | Seen::Unknown => false,
    };
    awaits_sync && operation.attempt >= policy.limits.sync_attempts && (observed.error.is_some() || is_changing)
}

/// Returns true for a destroy that waits for the state of its machine. It has no need of the volume yet.
fn awaits_state(operation: &Operation, observed: &Observed) -> bool {
    let is_there = match observed.machine {
        Seen::Present(_) => true,
        Seen::Absent | Seen::Unknown => false,
    };
    is_there && operation.kind == OperationKind::Destroy && operation.phase == Phase::Begun
}

/// Records a create before it is sent. Every other step leaves the progress as it is.
fn with_create_recorded(progress: Progress, step: StepName, now: DateTime<Utc>, policy: &Policy) -> Progress {
    let (looks, until) = (policy.limits.agreeing_observations, now + policy.timeouts.create_visibility);
    match step.effect() {
        StepEffect::CreatesVolume => {
            Progress { unconfirmed_volume: progress.unconfirmed_volume.sent(looks, until), ..progress }
        }
        StepEffect::CreatesMachine => {
            Progress { unconfirmed_machine: progress.unconfirmed_machine.sent(looks, until), ..progress }
        }
        StepEffect::NoCall | StepEffect::Changes | StepEffect::Waits => progress,
    }
}

/// Returns the write that comes before the action. A step that makes no call needs none. A create is always recorded before
/// it is sent. `unwritten` is true when the row lacks something that was learned.
fn intent(action: &Action, unwritten: bool, repeated: bool) -> Intent {
    let Action::Execute(step) = action else { return Intent::Skip };
    match step.name().effect() {
        StepEffect::NoCall => Intent::Skip,
        StepEffect::CreatesVolume | StepEffect::CreatesMachine => Intent::Write,
        StepEffect::Changes if unwritten || !repeated => Intent::Write,
        StepEffect::Changes => Intent::Renew,
        StepEffect::Waits if unwritten => Intent::Write,
        StepEffect::Waits => Intent::Skip,
    }
}

/// Returns true if both rows record the same, apart from the step and those before it.
pub(super) fn records_the_same(one: &Operation, other: &Operation) -> bool {
    one.kind == other.kind
        && one.phase == other.phase
        && one.attempt == other.attempt
        && one.last_error == other.last_error
        && one.cause == other.cause
        && one.deadline_at == other.deadline_at
        && one.progress.is_same_without_steps(&other.progress)
}

/// Returns the failure of an operation past its deadline, judged by what the last observation showed: it may have been idle
/// with its goal reached. A removal and an undo are never given up.
fn overdue(operation: &Operation, now: DateTime<Utc>) -> Option<Failure> {
    let step = operation.step.as_ref()?.known()?;
    let is_late = operation.deadline_at.is_some_and(|deadline| now >= deadline);
    if !is_late || !may_give_up(operation, step) {
        return None;
    }
    let last = operation.last_error.as_ref();
    Some(last.map_or_else(|| deadline::unreached(step), |last| last.known().unwrap_or(Failure::Unrecognized)))
}

/// Returns true if an operation that is late at this step is given up.
fn may_give_up(operation: &Operation, step: StepName) -> bool {
    let is_at_its_end = step == StepName::Finish || step == StepName::AwaitUnconfirmed;
    match operation.kind {
        OperationKind::Create | OperationKind::Start | OperationKind::Restore => !is_at_its_end,
        // Until its machine is on again, `running` would be wrong.
        OperationKind::Restart => step == StepName::PrepareSandbox,
        OperationKind::Stop if operation.cause.is_some() => false,
        // The machine may be stopping at our request, and `running` would be wrong (FM-19).
        OperationKind::Stop if step == StepName::ObserveAgain => operation.phase == Phase::Begun,
        OperationKind::Stop => !is_at_its_end && step != StepName::AwaitStopped,
        OperationKind::Destroy | OperationKind::RollBack | OperationKind::UndoRestore => false,
    }
}

#[cfg(test)]
mod tests;
