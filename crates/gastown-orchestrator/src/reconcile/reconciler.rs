//! The reconcile loop: observe, decide, execute, apply, store.

use std::error::Error;
use std::time::Duration;

use gastown_domain::ports::{OperationUpdate, StoreError, TownChange};
use gastown_domain::{AppName, Failure, Operation, Town};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::apply::{Applied, Context, Next, Notice, apply};
use super::cleanup::clean_up;
use super::database_time::DatabaseTime;
use super::decide::{Action, Decision, Intent, Times, decide, give_up_unobserved};
use super::execute::{Executor, outcome_without_call};
use super::lease::{LeaseGuard, OnLoss};
use super::observe::Subject;
use super::outcome::Outcome;
use super::prepare::{Call, NoCall, Preparation, Prepared};
use super::update::updated;
use super::{ReconcileReport, Reconciler, queued_since};

/// The end of one pass.
enum Pass {
    /// Make another pass on this state, after this long.
    Again(Box<Operation>, Duration),
    /// The claim was released. Any worker makes the next pass, after this long.
    Parked(Duration),
    /// The operation ended.
    Ended,
}

/// A town in one pass.
struct Target {
    town: Town,
    app: AppName,
}

impl Reconciler {
    /// Drives a claimed operation until it ends, has to wait for long, or is lost.
    #[tracing::instrument(name = "reconcile", skip_all, fields(town.id = %claimed.town, op.id = %claimed.id, op.kind = %claimed.kind))]
    pub(super) async fn run(&self, claimed: Operation) -> Result<ReconcileReport, StoreError> {
        let mut operation = taken_over(claimed);
        loop {
            if self.stop.is_cancelled() {
                return self.release(&operation).await;
            }
            match self.pass(&operation).await {
                Ok(Pass::Again(next, wait)) => {
                    operation = *next;
                    // A shutdown ends the wait. The head of the loop then releases the claim.
                    let _ = timeout(wait, self.stop.cancelled()).await;
                }
                Ok(Pass::Parked(due_in)) => return Ok(ReconcileReport::Parked { due_in }),
                Ok(Pass::Ended) => {
                    self.completions.notify();
                    return Ok(ReconcileReport::Ended);
                }
                Err(StoreError::Fenced { .. }) => return Ok(ReconcileReport::TakenOver),
                Err(error) => return Err(error),
            }
        }
    }

    async fn pass(&self, operation: &Operation) -> Result<Pass, StoreError> {
        let Some(town) = self.ports.store.registry.load(operation.town).await? else {
            // The foreign key forbids it.
            tracing::error!("operation without a town found");
            return Ok(Pass::Ended);
        };
        let mut lease = LeaseGuard::new(
            self.ports.store.operations.as_ref(),
            operation.fence(),
            self.settings.policy.timeouts.lease,
        );
        // Also the check before the first call that the claim still holds (FM-49).
        let time = lease.renew().await?;
        let Ok(app) = self.settings.apps.app_of(&town.owner) else {
            let decision = give_up_unobserved(operation, &town, Failure::ProviderMisconfigured, time.read());
            return self.conclude(&decision, Outcome::GaveUp(Failure::ProviderMisconfigured), None).await;
        };
        let target = Target { town, app };
        let mut decision = self.observe_and_decide(operation, &target, &lease, time).await?;
        match self.prepare(&decision, &target, &lease).await? {
            Prepared::Call(call) => self.send(*call, decision, &target, &mut lease).await,
            Prepared::NoCall(action) => {
                let outcome = outcome_without_call(action, decision.error.take(), self.ports.env.clock.as_ref());
                self.conclude(&decision, outcome, None).await
            }
            Prepared::Failed(failure) => {
                let decision = Decision { intent: Intent::Skip, ..decision };
                self.conclude(&decision, Outcome::NotPrepared(failure), None).await
            }
        }
    }

    async fn observe_and_decide(
        &self,
        operation: &Operation,
        target: &Target,
        lease: &LeaseGuard<'_>,
        time: DatabaseTime,
    ) -> Result<Decision, StoreError> {
        let policy = &self.settings.policy;
        let subject = Subject { provider: &self.ports.provider, app: &target.app, operation, town: &target.town };
        let began = Instant::now();
        let latest = time.read() + policy.timeouts.create_visibility;
        let observe = async { Ok(subject.observe(time.read(), latest).await) };
        let observed = lease.run(OnLoss::Abandon, observe).await?;
        tracing::debug!(
            machine = ?observed.machine,
            volume = ?observed.volume,
            create_pending = observed.create_pending,
            elapsed_ms = began.elapsed().as_millis(),
            "town observed"
        );
        let times = Times { before: time.read(), now: time.now(), queued: queued_since(began) };
        Ok(decide(operation, &target.town, observed, times, policy, &self.settings.regions))
    }

    async fn prepare(
        &self,
        decision: &Decision,
        target: &Target,
        lease: &LeaseGuard<'_>,
    ) -> Result<Prepared, StoreError> {
        let step = match &decision.action {
            Action::Execute(step) => step,
            Action::GiveUp(failure) => return Ok(Prepared::NoCall(NoCall::GiveUp(*failure))),
        };
        let preparation =
            Preparation { ports: &self.ports, settings: &self.settings, app: &target.app, town: &target.town };
        lease.run(OnLoss::Abandon, preparation.prepare(step)).await
    }

    /// Writes the intent, then sends the call and stores its outcome.
    async fn send(
        &self,
        call: Call,
        decision: Decision,
        target: &Target,
        lease: &mut LeaseGuard<'_>,
    ) -> Result<Pass, StoreError> {
        match decision.intent {
            Intent::Write => {
                let asked = Instant::now();
                self.write(&decision.intent_update(self.settings.policy.timeouts.lease), &decision).await?;
                lease.renewed_by_write(asked);
            }
            Intent::Renew | Intent::Skip => {
                lease.renew().await?;
            }
        }
        let Some(step) = decision.step().filter(|_| lease.still_valid()) else {
            return Ok(Pass::Again(Box::new(decision.operation), Duration::ZERO));
        };
        let span = tracing::debug_span!("step", op.step = step.name().as_str());
        let executor = Executor { ports: &self.ports, policy: &self.settings.policy, app: &target.app };
        let began = Instant::now();
        let outcome = lease.run(call.on_loss(), executor.execute(step.name(), call).instrument(span)).await?;
        tracing::debug!(
            op.step = step.name().as_str(),
            ?outcome,
            elapsed_ms = began.elapsed().as_millis(),
            "step executed"
        );
        self.conclude(&decision, outcome, Some(target)).await
    }

    /// Applies an outcome and stores the result. What was created is cleaned up if the claim was lost meanwhile.
    async fn conclude(
        &self,
        decision: &Decision,
        outcome: Outcome,
        target: Option<&Target>,
    ) -> Result<Pass, StoreError> {
        let created = outcome.created();
        let context = Context {
            policy: &self.settings.policy,
            regions: &self.settings.regions,
            fraction: self.ports.env.jitter.fraction(),
        };
        let Applied { next, notice } = apply(decision, outcome, context);
        if let Some(notice) = notice {
            notice.log(decision);
        }
        let stored = self.store(next, decision).await;
        if let (Err(StoreError::Fenced { .. }), Some(target)) = (&stored, target)
            && created != TownChange::default()
        {
            clean_up(&self.ports, &self.settings.policy, &target.app, target.town.id, &created).await;
        }
        stored
    }

    async fn store(&self, next: Next, decision: &Decision) -> Result<Pass, StoreError> {
        match next {
            Next::Update(update) => {
                self.write(&update, decision).await?;
                Ok(match update.hold {
                    Some(_) => Pass::Again(Box::new(updated(decision.operation.clone(), &update)), update.wait),
                    None => Pass::Parked(update.wait),
                })
            }
            Next::Finish { result, town } => {
                let fence = decision.operation.fence();
                self.ports.store.operations.finish(fence, result.clone(), &town).await?;
                tracing::info!(?result, "operation finished");
                Ok(Pass::Ended)
            }
        }
    }

    async fn write(&self, update: &OperationUpdate, decision: &Decision) -> Result<(), StoreError> {
        self.ports.store.operations.record(decision.operation.fence(), update).await
    }

    async fn release(&self, operation: &Operation) -> Result<ReconcileReport, StoreError> {
        match self.ports.store.operations.release(operation.fence()).await {
            Ok(()) => Ok(ReconcileReport::Released),
            Err(StoreError::Fenced { .. }) => Ok(ReconcileReport::TakenOver),
            Err(error) => Err(error),
        }
    }
}

/// Returns the operation as a new claim starts with it: the previous process may still send a create that it recorded.
fn taken_over(operation: Operation) -> Operation {
    let mut operation = operation;
    operation.progress.unconfirmed_volume = operation.progress.unconfirmed_volume.taken_over();
    operation.progress.unconfirmed_machine = operation.progress.unconfirmed_machine.taken_over();
    operation
}

impl Notice {
    fn log(&self, decision: &Decision) {
        let operation = &decision.operation;
        match self {
            Self::NeedsAttention(failure) => tracing::error!(
                op.step = operation.step.as_ref().map(gastown_domain::Recorded::as_str),
                op.attempt = operation.attempt,
                failure = failure.code(),
                "operation needs attention: it keeps failing and is retried slowly"
            ),
            Self::Misconfigured => tracing::error!("provider rejects the token, organization or app"),
            Self::GivingUp(failure) => tracing::warn!(failure = failure.code(), "operation given up"),
            Self::NextRegion(region) => tracing::info!(%region, "no capacity in region; trying the next one"),
        }
    }
}

/// Logs the end of a drive, once.
pub(super) fn log_drive(
    town: gastown_domain::TownId,
    driven: Result<ReconcileReport, StoreError>,
) -> Option<ReconcileReport> {
    match driven {
        Ok(report) => {
            tracing::debug!(town.id = %town, ?report, "reconcile ended");
            Some(report)
        }
        // The lease expires and any worker goes on.
        Err(error) if error.is_transient() => {
            tracing::warn!(town.id = %town, error = &error as &dyn Error, "reconcile interrupted");
            None
        }
        // The next attempt fails too. The town is stuck until an operator acts.
        Err(error) => {
            tracing::error!(town.id = %town, error = &error as &dyn Error, "reconcile failed: registry refused");
            None
        }
    }
}
