//! The resources that calls of the control plane deleted at Fly.

use gastown_domain::{MachineId, Power, VolumeId};
use tokio::time::Instant;

use crate::names::machine_name;
use crate::world::{DELETION, Phase, World};

/// A deletion that was sent to Fly, and when.
#[derive(Debug, Clone)]
pub(crate) struct Deletion {
    pub(crate) id: String,
    /// The name by which the resource belonged to a town.
    pub(crate) name: String,
    pub(crate) resource: DeletedResource,
    pub(crate) at: Instant,
    /// True if inventory lists were incomplete at that time.
    pub(crate) lists_were_incomplete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeletedResource {
    Machine,
    UnusedVolume,
    VolumeWithData,
}

impl World {
    /// Deletes a volume that no machine holds. It is gone a while later.
    pub(crate) fn delete_volume(&mut self, id: &VolumeId, now: Instant) {
        let gone_at = now + if self.volumes_are_deleted_slowly { DELETION * 120 } else { DELETION };
        let Some(volume) = self.volume(id).filter(|volume| volume.destroying.is_none()) else { return };
        volume.destroying = Some(gone_at);
        let resource = if volume.used { DeletedResource::VolumeWithData } else { DeletedResource::UnusedVolume };
        let name = volume.name.clone();
        let lists_were_incomplete = self.lists_are_incomplete(now);
        self.deletions.push(Deletion { id: id.as_str().to_owned(), name, resource, at: now, lists_were_incomplete });
    }

    pub(crate) fn delete_machine(&mut self, id: &MachineId, now: Instant) {
        let Some(machine) = self.machine(id).filter(|machine| machine.power() != Power::Destroying) else { return };
        machine.phase = Phase::Destroying(now + DELETION);
        // A copy has its own name, and its metadata names the town.
        let town = machine.metadata.get("gastown_town_id").and_then(|town| town.parse().ok());
        let name = town.map_or_else(|| machine.name.clone(), machine_name);
        let lists_were_incomplete = self.lists_are_incomplete(now);
        self.deletions.push(Deletion {
            id: id.as_str().to_owned(),
            name,
            resource: DeletedResource::Machine,
            at: now,
            lists_were_incomplete,
        });
    }
}
