//! Executing a prepared call: one call, one outcome. Decides nothing.

mod create;
mod delete;
mod power;
mod sandbox;

use std::time::Duration;

use gastown_domain::ports::{Clock, ProviderError, StoreError};
use gastown_domain::{AppName, Failure, StepName};

use super::outcome::Outcome;
use super::prepare::{Call, NoCall};
use crate::ports::Ports;
use crate::settings::Policy;

/// The ports and limits of an execution.
#[derive(Clone, Copy)]
pub(super) struct Executor<'a> {
    pub(super) ports: &'a Ports,
    pub(super) policy: &'a Policy,
    pub(super) app: &'a AppName,
}

impl Executor<'_> {
    /// Sends the call.
    ///
    /// Errors: the registry's, while the sandbox's rigs are reconciled.
    pub(super) async fn execute(self, step: StepName, call: Call) -> Result<Outcome, StoreError> {
        Ok(match call {
            Call::CreateVolume(spec) => self.create_volume(step, &spec).await,
            Call::CreateMachine(machine) => self.create_machine(step, &machine.spec).await,
            Call::UpdateMachine(machine, new) => self.update_machine(step, &machine, &new.spec).await,
            Call::StartMachine(machine) => self.start_machine(step, &machine).await,
            Call::StopMachine(machine) => self.stop_machine(step, &machine).await,
            Call::AwaitStarted(machine) => self.await_started(step, &machine).await,
            Call::AwaitStopped(machine) => self.await_stopped(step, &machine).await,
            Call::AwaitDestroyed(machine) => self.await_destroyed(step, &machine).await,
            Call::DeleteMachine(machine) => self.delete_machine(step, &machine).await,
            Call::DeleteVolume(volume) => self.delete_volume(step, &volume).await,
            Call::PrepareSandbox(at) => return self.prepare_sandbox(&at).await,
            Call::PrepareRestored(at) => return self.prepare_restored(&at).await,
            Call::FinalSync(at) => self.final_sync(&at).await,
        })
    }
}

/// Returns the outcome of an action that makes no call.
pub(super) fn outcome_without_call(action: NoCall, error: Option<ProviderError>, clock: &dyn Clock) -> Outcome {
    match action {
        NoCall::ObserveAgain => match error {
            Some(error) => failed(StepName::ObserveAgain, error),
            None => Outcome::Waiting(Failure::MachineBusy),
        },
        NoCall::AwaitUnconfirmed => Outcome::Waiting(Failure::ProviderUnavailable),
        NoCall::SoftDelete => Outcome::SoftDeleted { at: clock.now() },
        NoCall::Finish => Outcome::Finished,
        NoCall::VolumeLost => Outcome::VolumeLost,
        NoCall::GiveUp(failure) => Outcome::GaveUp(failure),
    }
}

/// Returns the outcome of an answer, or of the failure to get one.
fn answered<T>(step: StepName, answer: Result<T, ProviderError>, outcome: impl FnOnce(T) -> Outcome) -> Outcome {
    match answer {
        Ok(answer) => outcome(answer),
        Err(error) => failed(step, error),
    }
}

/// Returns the outcome of a failed call, and logs it. A wait that is expected is no warning.
pub(super) fn failed(step: StepName, error: ProviderError) -> Outcome {
    failed_after(step, error, Duration::ZERO)
}

/// Returns the outcome of a call that failed after this time in rate limits, and logs it.
pub(super) fn failed_after(step: StepName, error: ProviderError, queued: Duration) -> Outcome {
    let cause: &dyn std::error::Error = &error;
    match &error {
        ProviderError::VolumeBound { .. } | ProviderError::NotNow { .. } => {
            tracing::debug!(op.step = step.as_str(), error = cause, "provider not ready");
        }
        ProviderError::NoCapacity { .. }
        | ProviderError::RegionRefused { .. }
        | ProviderError::HostFull { .. }
        | ProviderError::NameTaken { .. }
        | ProviderError::VolumeMissing { .. }
        | ProviderError::MachineMissing { .. }
        | ProviderError::Throttled { .. }
        | ProviderError::Refused { .. }
        | ProviderError::Misconfigured { .. }
        | ProviderError::NotSent { .. }
        | ProviderError::Unknown { .. } => {
            tracing::warn!(op.step = step.as_str(), error = cause, "failed to execute step");
        }
    }
    Outcome::Failed { step, error, queued }
}
