//! Acting without deciding: one arm per step, each arm one call.

use gastown_domain::ports::{Awaited, ProviderError, StoreError, TownChange};
use gastown_domain::{AppName, Drift, Failure, Operation, OperationKind, Phase, Rejection, Step, Town, TownStatus};

use super::Reconciler;
use super::observe::Sight;
use super::setback::{Setback, of_lost_volume, of_provider};
use crate::rigs::{address_of, reconcile_rigs};
use crate::tokens::SecretError;

/// What came of a step.
pub(super) enum Done {
    /// It was done; this is what was learned.
    Learned(Learned),
    /// It was not reached yet, through nobody's fault: the same wait again.
    NotYet {
        /// Why, should the deadline pass now.
        failure: Failure,
        /// Whether the call itself waited, so that the next may follow at once.
        waited: bool,
    },
    /// The operation is at its end.
    Ended(Result<(), Rejection>, TownChange),
    /// It failed.
    Setback(Setback),
}

/// What a step that was done changes.
#[derive(Default)]
pub(super) struct Learned {
    /// The new mark, where it moves.
    pub(super) phase: Option<Phase>,
    /// Changes to the town's row.
    pub(super) change: TownChange,
}

impl Learned {
    fn marked(phase: Phase) -> Self {
        Self { phase: Some(phase), ..Self::default() }
    }
}

impl Reconciler {
    pub(super) async fn act(
        &self,
        step: Step,
        app: &AppName,
        operation: &mut Operation,
        town: &Town,
        sight: &Sight,
    ) -> Result<Done, StoreError> {
        let provider = &self.ports.provider;
        let done = match step {
            Step::ObserveAgain => Ok(look_again(operation, sight)),
            Step::EnsureVolume => return self.ensure_volume(app, operation, town, sight).await,
            Step::EnsureMachine => return self.ensure_machine(app, operation, town, sight).await,
            Step::UpdateMachine => return self.refresh_machine(app, operation, town, sight).await,
            Step::PrepareSandbox => return self.settle_sandbox(town, sight).await,
            Step::FinalSync => Ok(self.final_sync(operation, town).await),
            Step::StartMachine => match &sight.machine {
                Some(there) => provider.machines.start_machine(app, &there.id).await.map(|()| done()),
                None => Ok(missed()),
            },
            Step::StopMachine => match &sight.machine {
                Some(there) => provider.machines.stop_machine(app, &there.id).await.map(|()| done()),
                None => Ok(missed()),
            },
            Step::AwaitStarted => self.wait_for(app, sight, Awaited::Started, Failure::MachineNeverStarted).await,
            Step::AwaitStopped => self.wait_for(app, sight, Awaited::Stopped, Failure::MachineBusy).await,
            Step::AwaitDestroyed => self.wait_for(app, sight, Awaited::Destroyed, Failure::MachineBusy).await,
            Step::SoftDelete => {
                let change = TownChange { soft_deleted_at: Some(self.ports.env.clock.now()), ..TownChange::default() };
                Ok(Done::Learned(Learned { change, ..Learned::marked(Phase::Settled) }))
            }
            Step::DeleteMachine => match &sight.machine {
                Some(there) => provider.machines.delete_machine(app, &there.id).await.map(|()| done()),
                None => Ok(missed()),
            },
            Step::DeleteSurplusVolume => match sight.surplus.first() {
                Some(volume) => provider.volumes.delete_volume(app, volume).await.map(|()| done()),
                None => Ok(missed()),
            },
            Step::DeleteVolume => match &sight.volume {
                Some(there) => provider.volumes.delete_volume(app, &there.id).await.map(|()| done()),
                None => Ok(missed()),
            },
            Step::AwaitUnconfirmed => {
                let failure = operation.last_error.unwrap_or(Failure::ProviderUnavailable);
                Ok(Done::NotYet { failure, waited: false })
            }
            Step::Finish => Ok(finished(operation, town)),
            Step::GiveUpVolumeLost => Ok(Done::Setback(of_lost_volume(operation.kind))),
            Step::GiveUpMachineFailed => Ok(Done::Setback(Setback::GiveUp(Failure::MachineFailed))),
        };
        Ok(done.unwrap_or_else(|error| failed(operation.kind, step, &error)))
    }

    async fn refresh_machine(
        &self,
        app: &AppName,
        operation: &Operation,
        town: &Town,
        sight: &Sight,
    ) -> Result<Done, StoreError> {
        let (Some(there), Some(volume)) = (&sight.machine, &sight.volume) else { return Ok(missed()) };
        let spec = match self.machine_spec(app, town, volume.id.clone(), volume.region.clone()).await {
            Ok(spec) => spec,
            Err(error) => return undescribed(error),
        };
        Ok(match self.ports.provider.machines.update_machine(&there.id, &spec).await {
            Ok(()) => Done::Learned(Learned::marked(Phase::Prepared)),
            Err(error) => failed(operation.kind, Step::UpdateMachine, &error),
        })
    }

    async fn settle_sandbox(&self, town: &Town, sight: &Sight) -> Result<Done, StoreError> {
        if !mounts_its_volume(sight) {
            // No town runs on a disk that is not its own (FM-25): somebody changed the machine, or Fly is moving it.
            let mounted = sight.machine.as_ref().and_then(|machine| machine.volume.as_ref());
            tracing::warn!(?mounted, "the machine does not mount the town's volume");
            return Ok(Done::NotYet { failure: Failure::MachineBusy, waited: false });
        }
        let Some(at) = address_of(&self.settings, self.ports.keys.towns.as_ref(), town) else { return Ok(missed()) };
        if let Err(error) = self.ports.provider.sandboxes.health(&at).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "sandbox does not answer yet, for it is booting or broken"
            );
            return Ok(Done::NotYet { failure: Failure::SandboxUnhealthy, waited: false });
        }
        let patience = self.settings.policy.rigs_timeout;
        if let Ok(settled) = tokio::time::timeout(patience, reconcile_rigs(&self.ports, &at)).await {
            settled?;
        } else {
            // The workers go on with them: whoever waits for the town, or wants to stop it, need not wait for clones (FM-52).
            tracing::warn!("rigs take long; the town goes on without them");
        }
        Ok(Done::Learned(Learned::marked(Phase::Settled)))
    }

    /// Bounded and best effort: whatever comes of it, the operation goes on (FM-12).
    async fn final_sync(&self, operation: &mut Operation, town: &Town) -> Done {
        let patience = self.settings.policy.sync_timeout;
        let at = address_of(&self.settings, self.ports.keys.towns.as_ref(), town);
        let synced = match at {
            Some(at) => match tokio::time::timeout(patience, self.ports.provider.sandboxes.sync(&at)).await {
                Ok(Ok(_)) => true,
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "last sync failed");
                    false
                }
                Err(_) => {
                    tracing::warn!(timeout_ms = patience.as_millis(), "last sync timed out");
                    false
                }
            },
            None => false,
        };
        operation.progress.synced = Some(synced);
        // Our clock, not the sandbox's (FM-36).
        let synced_at = synced.then(|| self.ports.env.clock.now());
        let change = TownChange { synced_at, ..TownChange::default() };
        Done::Learned(Learned { phase: Some(Phase::Prepared), change })
    }

    async fn wait_for(
        &self,
        app: &AppName,
        sight: &Sight,
        state: Awaited,
        failure: Failure,
    ) -> Result<Done, ProviderError> {
        let Some(there) = &sight.machine else { return Ok(missed()) };
        let patience = self.settings.policy.await_timeout;
        let reached = self.ports.provider.machines.await_machine(app, &there.id, state, patience).await?;
        // Where the machine still reads otherwise, the same wait comes again, a little later.
        Ok(if reached { done() } else { Done::NotYet { failure, waited: true } })
    }
}

fn look_again(operation: &Operation, sight: &Sight) -> Done {
    match &sight.error {
        Some(error) => failed(operation.kind, Step::ObserveAgain, error),
        None => Done::NotYet { failure: operation.last_error.unwrap_or(Failure::MachineBusy), waited: false },
    }
}

/// Whether the town's machine mounts the town's volume, as far as both are known.
fn mounts_its_volume(sight: &Sight) -> bool {
    match (&sight.machine, &sight.volume) {
        (Some(machine), Some(volume)) => machine.volume.as_ref() == Some(&volume.id),
        _ => true,
    }
}

/// The end of an operation whose goal is reached, or whose undoing is.
fn finished(operation: &Operation, town: &Town) -> Done {
    // A stop of a town whose machine somebody else removed has its goal, and its owner is told (FM-19).
    let missing = operation.kind == OperationKind::Stop && operation.progress.machine_missing;
    let drift = missing.then_some(Drift::MachineMissing);
    let stands = |status| TownChange { status: Some(status), drift, ..TownChange::default() };
    let gone = TownChange { machine: Some(None), volume: Some(None), ..TownChange::default() };
    match (operation.kind, operation.cause) {
        (OperationKind::Create | OperationKind::Start, _) => Done::Ended(Ok(()), stands(TownStatus::Running)),
        // It never ran: it has no goal but its create's, which the next sweep gives it again.
        (OperationKind::Stop, _) if !town.status.may_become(TownStatus::Stopped) => {
            Done::Ended(Err(Rejection::Failed(Failure::MachineBusy)), TownChange::default())
        }
        (OperationKind::Stop, None) => Done::Ended(Ok(()), stands(TownStatus::Stopped)),
        (OperationKind::Stop, Some(cause)) => Done::Ended(Err(Rejection::Failed(cause)), stands(TownStatus::Stopped)),
        (OperationKind::Destroy, _) => Done::Ended(Ok(()), gone),
        (OperationKind::RollBack, cause) => {
            Done::Ended(Err(Rejection::RolledBack(cause.unwrap_or(Failure::ProviderUnavailable))), gone)
        }
    }
}

pub(super) fn done() -> Done {
    Done::Learned(Learned::default())
}

/// The plan named an object that this look did not bring: look again.
pub(super) fn missed() -> Done {
    Done::NotYet { failure: Failure::ProviderUnavailable, waited: false }
}

pub(super) fn failed(kind: OperationKind, step: Step, error: &ProviderError) -> Done {
    tracing::warn!(op.step = step.as_str(), error = error as &dyn std::error::Error, "step failed");
    Done::Setback(of_provider(kind, step, error))
}

pub(super) fn undescribed(error: SecretError) -> Result<Done, StoreError> {
    match error {
        SecretError::Store(error) => Err(error),
        SecretError::Failed(failure) => Ok(Done::Setback(Setback::GiveUp(failure))),
    }
}
