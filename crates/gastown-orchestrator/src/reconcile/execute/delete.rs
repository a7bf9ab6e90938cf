//! Deleting a town's machine and volumes. Their ids stay in the row until they are proven absent.

use gastown_domain::{MachineId, StepName, VolumeId};

use super::{Executor, answered};
use crate::reconcile::outcome::Outcome;

impl Executor<'_> {
    pub(super) async fn delete_machine(self, step: StepName, id: &MachineId) -> Outcome {
        answered(step, self.ports.provider.machines.delete_machine(self.app, id).await, Outcome::MachineDeleted)
    }

    pub(super) async fn delete_volume(self, step: StepName, id: &VolumeId) -> Outcome {
        answered(step, self.ports.provider.volumes.delete_volume(self.app, id).await, Outcome::VolumeDeleted)
    }
}
