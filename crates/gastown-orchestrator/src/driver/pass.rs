//! One pass: look, plan, record the intent, act, record what was learned.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{OperationUpdate, StoreError, TownChange};
use gastown_domain::{Failure, Operation, OperationKind, Phase, Power, Rejection, Seen, Step, Town, TownStatus, plan};
use tokio::time::Instant;

use super::act::{Done, Learned};
use super::database_time::DatabaseTime;
use super::holding::OnLoss;
use super::observe::Sight;
use super::pace::is_unbounded;
use super::setback::Setback;
use super::{Next, Reconciler};

impl Reconciler {
    pub(super) async fn pass(&self, operation: &mut Operation) -> Result<Next, StoreError> {
        let store = &self.ports.store;
        let Some(mut town) = store.registry.load(operation.town).await? else {
            // The foreign key forbids it; nothing can be done for a town that is not there.
            tracing::error!("an operation without a town");
            return Ok(Next::Ended);
        };
        let Ok(app) = self.settings.apps.app_of(&town.owner) else {
            return self.give_up(operation, &town, Failure::ProviderMisconfigured).await;
        };
        let (fence, lease) = (operation.fence(), self.settings.policy.lease);
        // Also the check before the first outside call that the claim still holds (FM-49).
        let clock = DatabaseTime::just(store.operations.renew(fence, lease).await?);
        let began = Instant::now();
        let look = async { Ok(self.observe(&app, operation, &town, clock).await) };
        let sight = self.holding(fence, OnLoss::Leave, look).await?;
        self.skip_hopeless_sync(operation, &sight);

        let step = plan(operation.kind, operation.phase, sight.world);
        tracing::debug!(op.step = step.as_str(), ?sight.world, "planned");
        let repeated = operation.step.replace(step) == Some(step);
        operation.progress = sight.progress.clone();
        self.excuse_line(operation, began);
        let is_news = sight.change != TownChange::default();
        if is_news {
            // What Fly shows is progress; that it took a call well is not (FM-14).
            operation.attempt = 0;
        }
        let prolonged = Instant::now();
        if is_news || !repeated {
            self.record(operation, sight.change.clone(), Duration::ZERO).await?;
            adopt(&mut town, sight.change.clone());
        } else {
            // The look took its time; a destroy may have been asked for meanwhile (FM-16).
            store.operations.renew(fence, lease).await?;
        }
        if let Some(failure) = overdue(operation, step, clock.read()) {
            return self.give_up(operation, &town, failure).await;
        }
        if !self.surely_holds(prolonged) {
            return Ok(Next::Again(Duration::ZERO));
        }
        let work = self.act(step, &app, operation, &town, &sight);
        match self.holding(fence, OnLoss::of(step), work).await? {
            Done::Learned(learned) => {
                let made = learned.change.clone();
                let next = self.learned(operation, learned, repeated).await;
                if matches!(next, Err(StoreError::Fenced { .. })) {
                    self.disown(&app, town.id, &made).await;
                }
                next
            }
            Done::NotYet { failure, waited } => self.not_yet(operation, failure, waited, &sight).await,
            Done::Ended(outcome, change) => {
                store.operations.finish(fence, outcome, &change).await?;
                tracing::info!(op.id = %operation.id, op.kind = %operation.kind, ?outcome, "operation ended");
                Ok(Next::Ended)
            }
            Done::Setback(setback) => self.set_back(operation, &town, setback).await,
        }
    }

    /// Writes the intent down before something is made: the doubt that a create begins with.
    pub(super) async fn remember(&self, operation: &Operation) -> Result<(), StoreError> {
        self.record(operation, TownChange::default(), Duration::ZERO).await.map(drop)
    }

    /// A step that is done again and again, though each time it went well, is done ever later: Fly's lists lag behind
    /// (FM-32), and a deletion without effect is not hammered (FM-14).
    async fn learned(&self, operation: &mut Operation, learned: Learned, repeated: bool) -> Result<Next, StoreError> {
        let policy = &self.settings.policy;
        // After a failure this is the first time that it went well.
        let again = repeated && operation.last_error.is_none();
        let before = operation.attempt;
        if again {
            operation.attempt = operation.attempt.saturating_add(1);
        } else if learned.phase.is_some() || learned.change != TownChange::default() || !is_unbounded(operation) {
            operation.attempt = 0;
        }
        let wait =
            if again { policy.poll_interval.max(self.pause_after_failure(operation, before)) } else { Duration::ZERO };
        operation.last_error = None;
        operation.phase = learned.phase.unwrap_or(operation.phase);
        self.record(operation, learned.change, wait).await
    }

    /// Not reached, through nobody's fault. What has a deadline looks again soon; what goes on for ever does so ever less
    /// often, but for the looks that are to prove an absence.
    async fn not_yet(
        &self,
        operation: &mut Operation,
        failure: Failure,
        waited: bool,
        sight: &Sight,
    ) -> Result<Next, StoreError> {
        operation.last_error = Some(failure);
        let soon = if waited { Duration::ZERO } else { self.settings.policy.poll_interval };
        // A stop past its deadline is one that may not be called failed (see `overdue`).
        let goes_on = is_unbounded(operation)
            || (operation.kind == OperationKind::Stop && sight.clock.read() >= operation.deadline_at);
        let proves =
            matches!(operation.step, Some(Step::ObserveAgain | Step::AwaitUnconfirmed)) && sight.awaits_proof();
        let wait = if goes_on && !proves {
            let before = operation.attempt;
            operation.attempt = before.saturating_add(1);
            soon.max(self.pause_after_failure(operation, before))
        } else {
            soon
        };
        self.record(operation, TownChange::default(), wait).await
    }

    async fn set_back(&self, operation: &mut Operation, town: &Town, setback: Setback) -> Result<Next, StoreError> {
        match setback {
            Setback::GiveUp(failure) => self.give_up(operation, town, failure).await,
            // Only a create goes elsewhere, and does so where it is decided.
            Setback::NextRegion => self.give_up(operation, town, Failure::NoCapacity).await,
            Setback::Retry { failure, after, blind } => {
                let tired = blind && operation.attempt.saturating_add(1) >= self.settings.policy.create_attempts;
                if tired && operation.kind == OperationKind::Create {
                    return self.give_up(operation, town, failure).await;
                }
                self.retry(operation, failure, after.unwrap_or_default()).await
            }
        }
    }

    /// The goal cannot be reached: undo a create or a start, end a stop, and go on with a removal.
    async fn give_up(&self, operation: &mut Operation, town: &Town, failure: Failure) -> Result<Next, StoreError> {
        let turn = match operation.kind {
            OperationKind::Create => Some((OperationKind::RollBack, Phase::Begun)),
            // What runs at Fly while the row says stopped costs money: off again. A town that ran goes on as it is.
            OperationKind::Start if town.status == TownStatus::Stopped => Some((OperationKind::Stop, Phase::Prepared)),
            OperationKind::Start => None,
            OperationKind::Stop if operation.cause.is_none() => None,
            OperationKind::Stop | OperationKind::Destroy | OperationKind::RollBack => {
                return self.retry(operation, failure, Duration::ZERO).await;
            }
        };
        tracing::warn!(op.id = %operation.id, op.kind = %operation.kind, failure = failure.code(), "giving up");
        let Some((kind, phase)) = turn else {
            let outcome = Err(Rejection::Failed(failure));
            self.ports.store.operations.finish(operation.fence(), outcome, &TownChange::default()).await?;
            return Ok(Next::Ended);
        };
        operation.kind = kind;
        operation.phase = phase;
        operation.cause = Some(failure);
        operation.last_error = Some(failure);
        operation.attempt = 0;
        self.record(operation, TownChange::default(), Duration::ZERO).await
    }

    /// The same again, after the backoff and no sooner than `least`.
    async fn retry(&self, operation: &mut Operation, failure: Failure, least: Duration) -> Result<Next, StoreError> {
        if failure == Failure::ProviderMisconfigured && operation.last_error != Some(failure) {
            tracing::error!(op.kind = %operation.kind, "Fly refuses our token, organization or app");
        }
        let before = operation.attempt;
        operation.attempt = self.failures_after(operation, failure);
        operation.last_error = Some(failure);
        // Those that Fly or a full line sent away together come back one by one.
        let least = least.mul_f64(1.0 + self.ports.env.jitter.fraction() / 4.0);
        let wait = self.pause_after_failure(operation, before).max(least);
        if failure == Failure::Throttled {
            self.excuse(operation, wait);
        }
        self.record(operation, TownChange::default(), wait).await
    }

    async fn record(&self, operation: &Operation, change: TownChange, wait: Duration) -> Result<Next, StoreError> {
        // A long wait holds neither claim nor permit.
        let parked = wait > self.settings.policy.park_after;
        let hold = (!parked).then(|| self.settings.policy.lease + wait);
        self.ports.store.operations.record(operation.fence(), &record_of(operation, change, wait, hold)).await?;
        Ok(if parked { Next::Parked(wait) } else { Next::Again(wait) })
    }

    /// A destroy does not wait for ever for a look that would only tell whether a last sync is possible (FM-12).
    fn skip_hopeless_sync(&self, operation: &mut Operation, sight: &Sight) {
        let tired = operation.attempt >= self.settings.policy.sync_attempts;
        let undecided = sight.error.is_some() || sight.world.machine == Seen::Present(Power::Changing);
        if awaits_last_sync(operation) && tired && undecided {
            tracing::warn!("last sync skipped: the machine cannot be asked");
            operation.phase = Phase::Prepared;
            operation.progress.synced = Some(false);
        }
    }
}

fn record_of(operation: &Operation, town: TownChange, wait: Duration, hold: Option<Duration>) -> OperationUpdate {
    OperationUpdate {
        kind: operation.kind,
        phase: operation.phase,
        step: operation.step.unwrap_or(Step::ObserveAgain),
        attempt: operation.attempt,
        last_error: operation.last_error,
        cause: operation.cause,
        progress: operation.progress.clone(),
        deadline_at: operation.deadline_at,
        wait,
        hold,
        town,
    }
}

/// Why an operation that ran out of patience by the database's clock is given up: judged by what the last look showed,
/// for it may have lain idle with its goal reached. A removal and an undoing are never given up.
fn overdue(operation: &Operation, step: Step, now: DateTime<Utc>) -> Option<Failure> {
    let bounded = match operation.kind {
        OperationKind::Create | OperationKind::Start => !matches!(step, Step::Finish | Step::AwaitUnconfirmed),
        OperationKind::Stop if operation.cause.is_some() => false,
        OperationKind::Stop => match step {
            Step::Finish | Step::AwaitUnconfirmed | Step::AwaitStopped => false,
            // It may be going down by our own word, and `running` would be a lie (FM-19).
            Step::ObserveAgain => operation.phase == Phase::Begun,
            _ => true,
        },
        OperationKind::Destroy | OperationKind::RollBack => false,
    };
    let late = bounded && now >= operation.deadline_at;
    late.then(|| operation.last_error.unwrap_or_else(|| unreached(operation.step)))
}

/// A destroy that has not yet tried its last sync.
fn awaits_last_sync(operation: &Operation) -> bool {
    operation.kind == OperationKind::Destroy && operation.phase == Phase::Begun
}

/// What is missing at the deadline where no call failed last.
const fn unreached(step: Option<Step>) -> Failure {
    match step {
        Some(Step::StartMachine | Step::AwaitStarted) => Failure::MachineNeverStarted,
        Some(Step::StopMachine | Step::AwaitStopped) => Failure::MachineBusy,
        Some(Step::PrepareSandbox) => Failure::SandboxUnhealthy,
        _ => Failure::ProviderUnavailable,
    }
}

/// The row as it stands after what was found.
fn adopt(town: &mut Town, found: TownChange) {
    if let Some(machine) = found.machine {
        town.machine_id = machine;
    }
    if let Some(volume) = found.volume {
        town.volume_id = volume;
    }
    if let Some(region) = found.region {
        town.region = Some(region);
    }
}
