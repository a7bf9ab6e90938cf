//! One pass: look, plan, record the intent, act, record what was learned.

use std::future::Future;
use std::time::Duration;

use gastown_domain::ports::{Record, StoreError, TownChange};
use gastown_domain::{
    AppName, Failure, Fence, Mark, Operation, OperationKind, Rejection, Step, Town, TownId, TownStatus, plan,
};

use super::act::{Done, Learned};
use super::setback::Setback;
use super::{Driver, Next};

impl Driver {
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
        if let Some(failure) = self.overdue(operation) {
            return self.give_up(operation, &town, failure).await;
        }
        // Also the check before the first outside call that the claim still holds (FM-49).
        store.operations.renew(operation.fence(), self.settings.policy.lease).await?;
        let sight = self.observe(&app, operation, &town).await;
        self.skip_hopeless_sync(operation, sight.error.is_some());

        let step = plan(operation.kind, operation.mark, sight.world);
        tracing::debug!(op.step = step.as_str(), ?sight.world, "planned");
        let repeated = operation.step.replace(step) == Some(step);
        operation.progress = sight.progress.clone();
        if !repeated || sight.change != TownChange::default() {
            self.record(operation, sight.change.clone(), Duration::ZERO).await?;
            adopt(&mut town, sight.change.clone());
        }
        let fence = operation.fence();
        match self.holding(fence, self.act(step, &app, operation, &town, &sight)).await? {
            Done::Learned(learned) => {
                let (made, wait) =
                    (learned.change.clone(), if repeated { self.settings.policy.look_again } else { Duration::ZERO });
                let next = self.learned(operation, learned, wait).await;
                if matches!(next, Err(StoreError::Fenced { .. })) {
                    self.disown(&app, town.id, &made).await;
                }
                next
            }
            Done::NotYet { failure, waited } => {
                operation.last_error = Some(failure);
                let wait = if waited { Duration::ZERO } else { self.settings.policy.look_again };
                self.record(operation, TownChange::default(), wait).await
            }
            Done::Ended(outcome, change) => {
                store.operations.finish(fence, outcome, &change).await?;
                tracing::info!(op.id = %operation.id, op.kind = %operation.kind, ?outcome, "operation ended");
                Ok(Next::Ended)
            }
            Done::Setback(setback) => self.set_back(operation, &town, setback).await,
        }
    }

    /// Prolongs the claim while a step takes its time; a lost claim cuts the step short (FM-49).
    async fn holding<T>(
        &self,
        fence: Fence,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let lease = self.settings.policy.lease;
        tokio::pin!(work);
        loop {
            match tokio::time::timeout(lease / 3, &mut work).await {
                Ok(result) => return result,
                Err(_) => self.ports.store.operations.renew(fence, lease).await?,
            }
        }
    }

    /// Writes the intent down before something is made: the doubt that a create begins with.
    pub(super) async fn remember(&self, operation: &Operation) -> Result<(), StoreError> {
        self.record(operation, TownChange::default(), Duration::ZERO).await.map(drop)
    }

    /// What was made for a town that is a tombstone by now, under a claim that is lost, has no row: it goes at once. A
    /// living town's new driver finds it by name.
    async fn disown(&self, app: &AppName, town: TownId, made: &TownChange) {
        let row = self.ports.store.registry.load(town).await;
        if !matches!(row, Ok(Some(row)) if row.is_tombstone()) {
            return;
        }
        if let Some(Some(machine)) = &made.machine
            && let Err(error) = self.ports.outside.machines.delete_machine(app, machine).await
        {
            tracing::error!(machine.id = %machine, error = &error as &dyn std::error::Error, "orphan made by a lost claim");
        }
        if let Some(Some(volume)) = &made.volume
            && let Err(error) = self.ports.outside.volumes.delete_volume(app, volume).await
        {
            tracing::error!(volume.id = %volume, error = &error as &dyn std::error::Error, "orphan made by a lost claim");
        }
    }

    /// A step that was done twice running is looked at a little later: Fly's lists lag behind (FM-32).
    async fn learned(&self, operation: &mut Operation, learned: Learned, wait: Duration) -> Result<Next, StoreError> {
        operation.attempt = 0;
        operation.last_error = None;
        operation.mark = learned.mark.unwrap_or(operation.mark);
        self.record(operation, learned.change, wait).await
    }

    async fn set_back(&self, operation: &mut Operation, town: &Town, setback: Setback) -> Result<Next, StoreError> {
        let policy = &self.settings.policy;
        match setback {
            Setback::GiveUp(failure) => self.give_up(operation, town, failure).await,
            // Only a create goes elsewhere, and does so where it is decided.
            Setback::NextRegion => self.give_up(operation, town, Failure::NoCapacity).await,
            Setback::Retry { failure, after, blind } => {
                operation.attempt = operation.attempt.saturating_add(1);
                operation.last_error = Some(failure);
                let tired = blind && operation.attempt >= policy.create_attempts;
                if tired && operation.kind == OperationKind::Create {
                    return self.give_up(operation, town, failure).await;
                }
                let jittered = policy.backoff.delay(operation.attempt, self.ports.chance.dice.fraction());
                self.record(operation, TownChange::default(), after.unwrap_or_default().max(jittered)).await
            }
        }
    }

    /// The goal cannot be reached: undo a create or a start, end a stop, and go on with a removal.
    async fn give_up(&self, operation: &mut Operation, town: &Town, failure: Failure) -> Result<Next, StoreError> {
        let turn = match operation.kind {
            OperationKind::Create => Some((OperationKind::RollBack, Mark::Begun)),
            // What runs at Fly while the row says stopped costs money: off again. A town that ran goes on as it is.
            OperationKind::Start if town.status == TownStatus::Stopped => Some((OperationKind::Stop, Mark::Prepared)),
            OperationKind::Start => None,
            OperationKind::Stop if operation.cause.is_none() => None,
            OperationKind::Stop | OperationKind::Destroy | OperationKind::RollBack => {
                return self.record_retry(operation, failure).await;
            }
        };
        tracing::warn!(op.id = %operation.id, op.kind = %operation.kind, failure = failure.code(), "giving up");
        let Some((kind, mark)) = turn else {
            let outcome = Err(Rejection::Failed(failure));
            self.ports.store.operations.finish(operation.fence(), outcome, &TownChange::default()).await?;
            return Ok(Next::Ended);
        };
        operation.kind = kind;
        operation.mark = mark;
        operation.cause = Some(failure);
        operation.last_error = Some(failure);
        operation.attempt = 0;
        self.record(operation, TownChange::default(), Duration::ZERO).await
    }

    async fn record_retry(&self, operation: &mut Operation, failure: Failure) -> Result<Next, StoreError> {
        operation.attempt = operation.attempt.saturating_add(1);
        operation.last_error = Some(failure);
        let wait = self.settings.policy.backoff.delay(operation.attempt, self.ports.chance.dice.fraction());
        self.record(operation, TownChange::default(), wait).await
    }

    async fn record(&self, operation: &Operation, change: TownChange, wait: Duration) -> Result<Next, StoreError> {
        self.ports.store.operations.record(operation.fence(), &self.record_of(operation, change, wait)).await?;
        Ok(Next::Again(wait))
    }

    fn record_of(&self, operation: &Operation, town: TownChange, wait: Duration) -> Record {
        Record {
            kind: operation.kind,
            mark: operation.mark,
            step: operation.step.unwrap_or(Step::LookAgain),
            attempt: operation.attempt,
            last_error: operation.last_error,
            cause: operation.cause,
            progress: operation.progress.clone(),
            wait,
            lease: self.settings.policy.lease + wait,
            town,
        }
    }

    /// Why an operation that ran out of patience is given up; a removal and an undoing never are.
    fn overdue(&self, operation: &Operation) -> Option<Failure> {
        let bounded = match operation.kind {
            OperationKind::Create | OperationKind::Start => true,
            OperationKind::Stop => operation.cause.is_none(),
            OperationKind::Destroy | OperationKind::RollBack => false,
        };
        let late = bounded && self.ports.chance.clock.now() >= operation.deadline_at;
        late.then(|| operation.last_error.unwrap_or(Failure::ProviderUnavailable))
    }

    /// A destroy does not wait for ever for a look that would only tell whether a last sync is possible.
    fn skip_hopeless_sync(&self, operation: &mut Operation, look_failed: bool) {
        let tired = operation.attempt >= self.settings.policy.sync_attempts;
        if operation.kind == OperationKind::Destroy && operation.mark == Mark::Begun && tired && look_failed {
            tracing::warn!("last sync skipped: the machine cannot be asked");
            operation.mark = Mark::Prepared;
            operation.progress.synced = Some(false);
        }
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
