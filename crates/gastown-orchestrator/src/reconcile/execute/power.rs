//! Changing a machine's configuration and power state, and waiting for the state.

use gastown_domain::ports::{Awaited, MachineSpec};
use gastown_domain::{Failure, MachineId, StepName};

use super::{Executor, answered, failed};
use crate::reconcile::outcome::Outcome;

impl Executor<'_> {
    pub(super) async fn update_machine(self, step: StepName, id: &MachineId, spec: &MachineSpec) -> Outcome {
        answered(step, self.ports.provider.machines.update_machine(id, spec).await, Outcome::MachineUpdated)
    }

    pub(super) async fn start_machine(self, step: StepName, id: &MachineId) -> Outcome {
        answered(step, self.ports.provider.machines.start_machine(self.app, id).await, |()| Outcome::Starting)
    }

    pub(super) async fn stop_machine(self, step: StepName, id: &MachineId) -> Outcome {
        answered(step, self.ports.provider.machines.stop_machine(self.app, id).await, |()| Outcome::Stopping)
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
            Ok(true) => Outcome::Reached(state),
            Ok(false) => Outcome::StateNotReached(failure),
            Err(error) => failed(step, error),
        }
    }
}
