//! Creating a town's volume and machine.

use gastown_domain::ports::{MachineSpec, VolumeSpec};
use gastown_domain::{Region, StepName};
use tokio::time::Instant;

use super::{Executor, failed_after};
use crate::reconcile::outcome::Outcome;
use crate::reconcile::queued_since;

impl Executor<'_> {
    pub(super) async fn create_volume(self, step: StepName, spec: &VolumeSpec) -> Outcome {
        let began = Instant::now();
        match self.ports.provider.volumes.create_volume(spec).await {
            Ok(volume) => {
                tracing::info!(volume.id = %volume.id, region = volume.region.as_ref().map(Region::as_str), "volume created");
                Outcome::VolumeCreated { volume, queued: queued_since(began) }
            }
            Err(error) => failed_after(step, error, queued_since(began)),
        }
    }

    pub(super) async fn create_machine(self, step: StepName, spec: &MachineSpec) -> Outcome {
        let began = Instant::now();
        match self.ports.provider.machines.create_machine(spec).await {
            Ok(machine) => {
                tracing::info!(machine.id = %machine.id, "machine created");
                Outcome::MachineCreated { machine, queued: queued_since(began) }
            }
            Err(error) => failed_after(step, error, queued_since(began)),
        }
    }
}
