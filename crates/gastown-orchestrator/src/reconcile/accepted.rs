//! Driving an operation in the process that accepts it: claimed as it is inserted, with the intent of its first call.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Accepted, FirstClaim, NewOperation, StoreError};
use gastown_domain::{AppName, Operation, Phase, Progress, Recorded, StepEffect, Town};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::decide::{Decision, Driven, Intent, Times, decide};
use super::drive::Drive;
use super::knowledge::Knowledge;
use super::lease::LeaseGuard;
use super::observe::Subject;
use super::reconciler::{log_drive, taken_over};
use super::{ReconcileReport, Reconciler};

/// The places of one operation in this process: one among those with waiting callers, and one among those that are driven.
pub(crate) struct DriverSlot {
    waiting: OwnedSemaphorePermit,
    driving: OwnedSemaphorePermit,
}

impl Reconciler {
    /// Reserves the places to drive an operation at once, or returns `None` when all are taken.
    pub(crate) fn reserve_driver(&self) -> Option<DriverSlot> {
        let waiting = self.reserve_foreground_slot()?;
        let driving = Arc::clone(&self.callers).try_acquire_owned().ok()?;
        Some(DriverSlot { waiting, driving })
    }

    /// Returns the claim with which this process accepts an operation, with the intent of its first call. `town` is the row
    /// of an idle town, or of the town that is inserted with the operation.
    pub(crate) fn first_claim(&self, operation: &NewOperation, town: Option<&Town>) -> FirstClaim {
        let first = town.and_then(|town| {
            let knowledge = Knowledge::of_idle_town(town, operation.kind, Instant::now());
            self.first_decision(&not_inserted(operation), town, &knowledge, operation.at)
        });
        let (worker, lease) = (self.worker.clone(), self.settings.policy.timeouts.lease);
        let is_call = |first: &Decision| first.step().is_some_and(|step| step.name().effect() != StepEffect::NoCall);
        match first.filter(is_call) {
            // This process and the database have different clocks (FM-51).
            Some(Decision { operation, .. }) => FirstClaim {
                worker,
                lease,
                step: operation.step.as_ref().and_then(Recorded::known),
                progress: operation.progress.without_expiry(),
            },
            None => FirstClaim { worker, lease, step: None, progress: Progress::default() },
        }
    }

    /// Drives an operation that this process has accepted with a claim. `asked` is the time before the insert.
    pub(crate) async fn reconcile_accepted(&self, slot: DriverSlot, accepted: Accepted, asked: Instant) {
        let town = accepted.town.id;
        let DriverSlot { waiting, driving } = slot;
        let report = log_drive(town, self.run_accepted(accepted, asked).await);
        drop(driving);
        if let Some(ReconcileReport::Parked { due_in }) = report
            && timeout(due_in, self.stop.cancelled()).await.is_err()
        {
            self.reconcile_for_caller(town).await;
        }
        drop(waiting);
    }

    #[tracing::instrument(
        name = "reconcile",
        skip_all,
        fields(town.id = %accepted.town.id, op.id = %accepted.operation.id, op.kind = %accepted.operation.kind)
    )]
    async fn run_accepted(&self, accepted: Accepted, asked: Instant) -> Result<ReconcileReport, StoreError> {
        let Accepted { operation, town, replaced } = accepted;
        let Some(operation) = operation.into_known() else { return Ok(ReconcileReport::NotClaimed) };
        let operation = if replaced { taken_over(operation) } else { operation };
        let operations = self.ports.store.operations.as_ref();
        let lease = LeaseGuard::new(operations, operation.fence(), self.settings.policy.timeouts.lease, asked);
        let now = operation.updated_at;
        let knowledge = if replaced {
            Knowledge::stale(asked)
        } else {
            Knowledge::of_idle_town(&town, operation.kind, Instant::now())
        };
        let first = self.recorded_first(&operation, &town, &knowledge, now);
        let app = self.settings.apps.app_of(&town.owner).ok();
        self.for_user(&town.owner.clone())
            .drive(Drive::new(operations, lease, (operation, town, app), knowledge, now), first)
            .await
    }

    /// Returns the first decision, if the inserted row records its intent.
    fn recorded_first(
        &self,
        row: &Operation,
        town: &Town,
        knowledge: &Knowledge,
        now: DateTime<Utc>,
    ) -> Option<Decision> {
        let step = row.step.as_ref()?;
        let before = Operation { step: None, progress: Progress::default(), ..row.clone() };
        let first = self.first_decision(&before, town, knowledge, now)?;
        (first.operation.step.as_ref() == Some(step)).then(|| Decision {
            intent: Intent::Skip,
            operation: row.clone(),
            ..first
        })
    }

    /// Decides without a look. Returns `None` where one is needed.
    fn first_decision(
        &self,
        operation: &Operation,
        town: &Town,
        knowledge: &Knowledge,
        now: DateTime<Utc>,
    ) -> Option<Decision> {
        let app: AppName = self.settings.apps.app_of(&town.owner).ok()?;
        let subject =
            Subject { provider: &self.ports.provider, apps: &self.apps, app: &app, operation, town, knowledge };
        let observed = subject.known()?;
        let driven = Driven { operation, row: operation, town_unwritten: false };
        let times = Times { before: now, now, queued: std::time::Duration::ZERO };
        Some(decide(driven, town, observed, times, &self.settings.policy, &self.settings.regions))
    }
}

/// Returns an operation as it is before it is inserted. The database sets its times.
fn not_inserted(operation: &NewOperation) -> Operation {
    Operation {
        id: operation.id,
        town: operation.town,
        kind: operation.kind,
        phase: Phase::Begun,
        step: None,
        attempt: 0,
        last_error: None,
        cause: None,
        requested_by: operation.requested_by.clone(),
        fence: 0,
        next_attempt_at: operation.at,
        deadline_at: None,
        progress: Progress::default(),
        created_at: operation.at,
        updated_at: operation.at,
    }
}
