//! Changing a machine's configuration and power state, and waiting for the state.

use gastown_domain::ports::{Awaited, MachineSpec, ProviderError};
use gastown_domain::{Failure, MachineId, StepName};

use super::{Executor, failed};
use crate::reconcile::outcome::Outcome;

impl Executor<'_> {
    pub(super) async fn update_machine(self, step: StepName, id: &MachineId, spec: &MachineSpec) -> Outcome {
        match self.ports.provider.machines.update_machine(id, spec).await {
            Ok(()) => Outcome::MachineUpdated,
            Err(error) => failed(step, error),
        }
    }

    pub(super) async fn start_machine(self, step: StepName, id: &MachineId) -> Outcome {
        succeeded(step, self.ports.provider.machines.start_machine(self.app, id).await)
    }

    pub(super) async fn stop_machine(self, step: StepName, id: &MachineId) -> Outcome {
        succeeded(step, self.ports.provider.machines.stop_machine(self.app, id).await)
    }

    pub(super) async fn await_started(self, step: StepName, id: &MachineId) -> Outcome {
        self.await_state(step, id, Awaited::Started, Failure::MachineNeverStarted).await
    }

    pub(super) async fn await_stopped(self, step: StepName, id: &MachineId) -> Outcome {
        self.await_state(step, id, Awaited::Stopped, Failure::MachineBusy).await
    }

    pub(super) async fn await_destroyed(self, step: StepName, id: &MachineId) -> Outcome {
        self.await_state(step, id, Awaited::Destroyed, Failure::MachineBusy).await
    }

    async fn await_state(self, step: StepName, id: &MachineId, state: Awaited, failure: Failure) -> Outcome {
        let timeout = self.policy.timeouts.await_state;
        match self.ports.provider.machines.await_machine(self.app, id, state, timeout).await {
            Ok(true) => Outcome::Succeeded,
            Ok(false) => Outcome::StateNotReached(failure),
            Err(error) => failed(step, error),
        }
    }
}

/// Returns the outcome of a call that answers nothing.
pub(super) fn succeeded(step: StepName, result: Result<(), ProviderError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Succeeded,
        Err(error) => failed(step, error),
    }
}
