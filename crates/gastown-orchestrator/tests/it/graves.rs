//! What our own calls have deleted at Fly.

use gastown_domain::{MachineId, Power, TownId, VolumeId};
use tokio::time::Instant;

use crate::world::{LEAVE, Phase, World};

/// A deletion that Fly was asked for, and when.
#[derive(Debug, Clone)]
pub(crate) struct Grave {
    pub(crate) id: String,
    /// By which it was a town's.
    pub(crate) name: String,
    pub(crate) what: Buried,
    pub(crate) at: Instant,
    /// Lists of everything were not whole then.
    pub(crate) was_garbled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buried {
    Machine,
    UnusedVolume,
    VolumeWithData,
}

impl World {
    /// Deletes a volume that nothing holds; it is gone a while later.
    pub(crate) fn bury_volume(&mut self, id: &VolumeId, now: Instant) {
        let gone_at = now + if self.volumes_leave_slowly { LEAVE * 120 } else { LEAVE };
        let Some(volume) = self.volume(id).filter(|volume| volume.destroying.is_none()) else { return };
        volume.destroying = Some(gone_at);
        let what = if volume.used { Buried::VolumeWithData } else { Buried::UnusedVolume };
        let name = volume.name.clone();
        let was_garbled = self.is_garbled(now);
        self.graves.push(Grave { id: id.as_str().to_owned(), name, what, at: now, was_garbled });
    }

    pub(crate) fn bury_machine(&mut self, id: &MachineId, now: Instant) {
        let Some(machine) = self.machine(id).filter(|machine| machine.power() != Power::Destroying) else { return };
        machine.phase = Phase::Destroying(now + LEAVE);
        // A copy has a name of its own, and says of whom it is.
        let says_so = machine.metadata.get("gastown_town_id").and_then(|town| town.parse().ok());
        let name = says_so.map_or_else(|| machine.name.clone(), TownId::machine_name);
        let was_garbled = self.is_garbled(now);
        self.graves.push(Grave { id: id.as_str().to_owned(), name, what: Buried::Machine, at: now, was_garbled });
    }
}
