//! The reconcile loop: observe, decide, write the intent, execute, apply.
//!
//! The result of a call is written together with the intent of the next one, or before a wait.

use std::error::Error;
use std::time::Duration;

use gastown_domain::ports::{Measurement, OperationOutcome, StoreError, TownChange};
use gastown_domain::{AppName, Failure, Operation, OperationKind};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::apply::{Applied, Context, Next, Notice, apply};
use super::cleanup::clean_up;
use super::decide::{Action, Decision, Intent, Times, decide, give_up_unobserved};
use super::drive::Drive;
use super::execute::{Executor, outcome_without_call};
use super::knowledge::Knowledge;
use super::lease::{LeaseGuard, OnLoss};
use super::observe::Subject;
use super::outcome::Outcome;
use super::prepare::{Call, NoCall, Preparation, Prepared};
use super::{ReconcileReport, Reconciler, queued_since};

/// The end of one pass.
enum Pass {
    /// Make another pass, after this long.
    Again(Duration),
    /// The claim was released. Any worker makes the next pass, after this long.
    Parked(Duration),
    /// The process is stopping, and the claim was released.
    Released,
    /// The operation ended.
    Ended,
}

impl Reconciler {
    /// Drives a claimed operation of which nothing is known but its row.
    #[tracing::instrument(name = "reconcile", skip_all, fields(town.id = %claimed.town, op.id = %claimed.id, op.kind = %claimed.kind))]
    pub(super) async fn run(&self, claimed: Operation) -> Result<ReconcileReport, StoreError> {
        let operations = self.ports.store.operations.as_ref();
        let lease = self.settings.policy.timeouts.lease;
        let mut lease = LeaseGuard::new(operations, claimed.fence(), lease, Instant::now());
        let Some(town) = self.ports.store.registry.load(claimed.town).await? else {
            // The foreign key forbids it.
            tracing::error!("operation without a town found");
            return Ok(ReconcileReport::Ended);
        };
        // Also the check before the first call that the claim still holds (FM-49).
        let time = match lease.renew().await {
            Err(StoreError::Fenced { .. }) => return Ok(self.lost_claim(claimed.kind)),
            renewed => renewed?,
        };
        let knowledge = Knowledge::stale(Instant::now());
        let app = self.settings.apps.app_of(&town.owner).ok();
        let for_user = self.for_user(&town.owner);
        let parts = (taken_over(claimed), town, app);
        for_user.drive(Drive::new(operations, lease, parts, knowledge, time.read()), None).await
    }

    /// Drives the operation until it ends, has to wait for long, or is lost. `first` is a decision whose intent the row
    /// records already.
    pub(super) async fn drive(
        &self,
        mut drive: Drive<'_>,
        mut first: Option<Decision>,
    ) -> Result<ReconcileReport, StoreError> {
        loop {
            let passed = if self.stop.is_cancelled() {
                drive.release().await.map(|()| Pass::Released)
            } else {
                self.pass(&mut drive, first.take()).await
            };
            match passed {
                Ok(Pass::Again(wait)) if wait.is_zero() => {}
                Ok(Pass::Again(wait)) => {
                    // A shutdown ends the wait. The head of the loop then releases the claim.
                    let _ = timeout(wait, self.stop.cancelled()).await;
                }
                Ok(Pass::Parked(due_in)) => return Ok(ReconcileReport::Parked { due_in }),
                Ok(Pass::Released) => return Ok(ReconcileReport::Released),
                Ok(Pass::Ended) => return Ok(ReconcileReport::Ended),
                Err(StoreError::Fenced { .. }) => {
                    self.clean_up_after(&drive).await;
                    return Ok(self.lost_claim(drive.operation.kind));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Counts a claim that was lost.
    fn lost_claim(&self, kind: OperationKind) -> ReconcileReport {
        self.ports.env.metrics.record(Measurement::ClaimLost { kind });
        ReconcileReport::TakenOver
    }

    async fn pass(&self, drive: &mut Drive<'_>, first: Option<Decision>) -> Result<Pass, StoreError> {
        let Some(app) = drive.app.clone() else {
            let failure = Failure::ProviderMisconfigured;
            let decision = give_up_unobserved(&drive.operation, &drive.town, failure, drive.now());
            return self.conclude(&decision, Outcome::GaveUp(failure), drive).await;
        };
        let mut decision = match first {
            Some(first) => first,
            None => self.observe_and_decide(drive, &app).await?,
        };
        drive.operation = decision.operation.clone();
        match self.prepare(&decision, drive, &app).await? {
            Prepared::Call(call) => {
                decision.operation.progress = call.intended(decision.operation.progress);
                drive.operation = decision.operation.clone();
                self.send(*call, decision, drive, &app).await
            }
            Prepared::NoCall(action) => {
                let outcome = outcome_without_call(action, decision.error.take(), self.ports.env.clock.as_ref());
                self.conclude(&decision, outcome, drive).await
            }
            Prepared::Failed(failure) => self.conclude(&decision, Outcome::NotPrepared(failure), drive).await,
        }
    }

    async fn observe_and_decide(&self, drive: &mut Drive<'_>, app: &AppName) -> Result<Decision, StoreError> {
        let policy = &self.settings.policy;
        if self.subject(drive, app).needs_a_look() {
            // An id must not wait for a look.
            drive.write_town(policy.timeouts.lease).await?;
        }
        let (began, now) = (Instant::now(), drive.now());
        let latest = now + policy.timeouts.create_visibility;
        let observe = async { Ok(self.subject(drive, app).observe(now, latest).await) };
        let observed = drive.lease.run(OnLoss::Abandon, observe).await?;
        tracing::debug!(
            machine = ?observed.machine,
            volume = ?observed.volume,
            create_pending = observed.create_pending,
            looked = observed.looked_at_machine || observed.looked_at_volume,
            elapsed_ms = began.elapsed().as_millis(),
            "town observed"
        );
        drive.knowledge = drive.knowledge.clone().after_look(
            (&drive.town, drive.operation.kind),
            observed.looked_at_machine.then_some(&observed.machine),
            observed.looked_at_volume.then_some(&observed.volume),
            &observed.progress,
            Instant::now(),
        );
        let times = Times { before: now, now: drive.now(), queued: queued_since(began) };
        let decision = decide(drive.driven(), &drive.town, observed, times, policy, &self.settings.regions);
        drive.change_town(decision.town.clone());
        Ok(decision)
    }

    fn subject<'a>(&'a self, drive: &'a Drive<'_>, app: &'a AppName) -> Subject<'a> {
        Subject {
            provider: &self.ports.provider,
            apps: &self.apps,
            app,
            operation: &drive.operation,
            town: &drive.town,
            knowledge: &drive.knowledge,
        }
    }

    /// Prepares the action. Where that fails, what was learned is written first.
    async fn prepare(&self, decision: &Decision, drive: &mut Drive<'_>, app: &AppName) -> Result<Prepared, StoreError> {
        let step = match &decision.action {
            Action::Execute(step) => step,
            Action::GiveUp(failure) => return Ok(Prepared::NoCall(NoCall::GiveUp(*failure))),
        };
        let kind = decision.operation.kind;
        let (town, given) = (&drive.town, decision.operation.progress.image.as_ref());
        let preparation = Preparation { ports: &self.ports, settings: &self.settings, app, town, kind, given };
        match drive.lease.run(OnLoss::Abandon, preparation.prepare(step)).await {
            Ok(prepared) => Ok(prepared),
            Err(error) => {
                drive.write_town(self.settings.policy.timeouts.lease).await?;
                Err(error)
            }
        }
    }

    /// Writes the intent, then sends the call.
    async fn send(
        &self,
        call: Call,
        decision: Decision,
        drive: &mut Drive<'_>,
        app: &AppName,
    ) -> Result<Pass, StoreError> {
        let Some(step) = decision.step() else { return Ok(Pass::Again(Duration::ZERO)) };
        match decision.intent {
            Intent::Write => drive.write(Duration::ZERO, Some(self.settings.policy.timeouts.lease)).await?,
            Intent::Renew => drive.renew().await?,
            Intent::Skip if drive.lease.is_due() => drive.renew().await?,
            Intent::Skip => {}
        }
        if !drive.lease.still_valid() {
            return Ok(Pass::Again(Duration::ZERO));
        }
        let span = tracing::debug_span!("step", op.step = step.name().as_str());
        let executor = Executor { ports: &self.ports, policy: &self.settings.policy, app };
        let began = Instant::now();
        let outcome = drive.lease.run(call.on_loss(), executor.execute(step.name(), call).instrument(span)).await?;
        let took = began.elapsed();
        tracing::debug!(op.step = step.name().as_str(), ?outcome, elapsed_ms = took.as_millis(), "step executed");
        let result = outcome.step_result();
        self.ports.env.metrics.record(Measurement::StepExecuted { step: step.name(), result, took });
        self.conclude(&decision, outcome, drive).await
    }

    /// Applies an outcome. It is written with the next intent, or now if the operation waits or ends.
    async fn conclude(&self, decision: &Decision, outcome: Outcome, drive: &mut Drive<'_>) -> Result<Pass, StoreError> {
        drive.add_created(outcome.created());
        let is_certain = outcome.is_accepted_deletion() && decision.operation.kind == OperationKind::Destroy;
        let (kind, progress) = (decision.operation.kind, &decision.operation.progress);
        drive.knowledge = drive.knowledge.clone().after(&outcome, kind, progress, Instant::now());
        let context = Context {
            policy: &self.settings.policy,
            regions: &self.settings.regions,
            fraction: self.ports.env.jitter.fraction(),
        };
        let cause = outcome.refusal();
        let Applied { next, notice } = apply(decision, outcome, context);
        if let Some(notice) = notice {
            notice.log(decision, cause.as_deref());
        }
        match next {
            Next::Update(update) => {
                drive.advance(&update);
                if is_certain {
                    self.completions.removal_certain(&drive.operation, &drive.town);
                }
                if update.wait.is_zero() {
                    return Ok(Pass::Again(Duration::ZERO));
                }
                // A poll that learned nothing writes nothing, as long as the claim holds.
                if update.hold.is_none() || drive.has_unwritten() {
                    drive.write(update.wait, update.hold).await?;
                } else if drive.lease.is_due() {
                    drive.renew().await?;
                }
                Ok(if update.hold.is_some() { Pass::Again(update.wait) } else { Pass::Parked(update.wait) })
            }
            Next::Finish { operation, result, town } => {
                drive.operation = *operation;
                let ended = drive.finish(result.clone(), town).await?;
                tracing::info!(?result, "operation finished");
                let took = (drive.now() - drive.operation.created_at).to_std().unwrap_or_default();
                let outcome = OperationOutcome::of(&result);
                self.ports.env.metrics.record(Measurement::OperationEnded {
                    kind: drive.operation.kind,
                    outcome,
                    took,
                });
                self.completions.complete(drive.operation.id, result, ended);
                Ok(Pass::Ended)
            }
        }
    }

    /// Cleans up what was created under a claim that is lost.
    async fn clean_up_after(&self, drive: &Drive<'_>) {
        if let Some(app) = &drive.app
            && *drive.created() != TownChange::default()
        {
            clean_up(&self.ports, &self.settings.policy, app, &drive.operation, drive.created()).await;
        }
    }
}

/// Returns the operation as a new claim starts with it: the previous process may still send a create that it recorded.
pub(super) fn taken_over(operation: Operation) -> Operation {
    Operation { progress: operation.progress.without_expiry(), ..operation }
}

impl Notice {
    /// Logs the event. `cause` is the reason that the provider's adapter read from the answer.
    fn log(&self, decision: &Decision, cause: Option<&str>) {
        let operation = &decision.operation;
        match self {
            Self::NeedsAttention(failure) => tracing::error!(
                op.step = operation.step.as_ref().map(gastown_domain::Recorded::as_str),
                op.attempt = operation.attempt,
                failure = failure.code(),
                "operation needs attention: it keeps failing and is retried slowly"
            ),
            Self::Misconfigured => {
                tracing::error!(cause, "provider refuses the service until an operator acts");
            }
            Self::GivingUp(failure) => tracing::warn!(failure = failure.code(), "operation given up"),
            Self::NextRegion(region) => tracing::info!(%region, "no capacity in region; trying the next one"),
            Self::RegionRetired(region) => {
                tracing::error!(%region, cause, "provider refuses region; check the list of regions");
            }
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
