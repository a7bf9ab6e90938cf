//! Changes to the resources of a town at Fly that the control plane did not make.

use std::collections::BTreeMap;

use gastown_domain::{MachineId, Power, Region, TownId, VolumeId};
use tokio::time::Instant;

use crate::names::machine_name;
use crate::world::{Machine, Phase, Volume, World};

impl World {
    /// Returns the machine of a town, unless it is being destroyed.
    pub(crate) fn present_machine(&mut self, town: TownId) -> Option<&mut Machine> {
        let is_present = |machine: &&mut Machine| machine.belongs_to(town) && machine.power() != Power::Destroying;
        self.machines.iter_mut().find(is_present)
    }

    /// Moves the volume to another host, as Fly does when it drains a host. The data is then on another volume, which
    /// the machine mounts.
    pub(crate) fn move_volume(&mut self, town: TownId) -> bool {
        let to: VolumeId = format!("vol_{}", self.next()).parse().unwrap();
        let Some(machine) = self.present_machine(town) else { return false };
        let from = std::mem::replace(&mut machine.volume, to.clone());
        let Some(volume) = self.volume(&from).filter(|volume| volume.destroying.is_none()) else { return false };
        let moved = Volume { id: to, made_at: Instant::now(), ..volume.clone() };
        (volume.gone, volume.held_by) = (true, None);
        self.volumes.push(moved);
        true
    }

    /// Loses the volume, as when a host breaks: its machines are off, and its volumes are gone with their data.
    pub(crate) fn lose_volume(&mut self, town: TownId) -> bool {
        let Some(machine) = self.present_machine(town) else { return false };
        let id = machine.volume.clone();
        let Some(volume) = self.volume(&id).filter(|volume| volume.used && volume.destroying.is_none()) else {
            return false;
        };
        (volume.gone, volume.held_by) = (true, None);
        let name = volume.name.clone();
        self.lost_volumes.insert(name);
        if let Some(machine) = self.present_machine(town) {
            machine.phase = Phase::Off;
        }
        true
    }

    /// Adds a machine and its volume of a town that the registry does not know. An older version may have left them.
    pub(crate) fn add_orphans(&mut self, town: TownId, now: Instant) {
        let region: Region = "iad".parse().unwrap();
        let volume = self.add_volume(town, &region).id;
        let id: MachineId = format!("machine{}", self.next()).parse().unwrap();
        let metadata = BTreeMap::from([("gastown_town_id".to_owned(), town.to_string())]);
        self.machines.push(Machine {
            app: self.apps.first().cloned().unwrap(),
            id: id.clone(),
            name: machine_name(town),
            region,
            volume: volume.clone(),
            image: "registry.fly.io/unknown:1".parse().unwrap(),
            env: BTreeMap::new(),
            metadata,
            phase: Phase::On(now),
            made_at: now,
            invisible_until: None,
        });
        if let Some(volume) = self.volume(&volume) {
            (volume.held_by, volume.made_at) = (Some(id), now);
        }
    }

    /// Replaces the machine, as an operator may do: another machine of the same name on the same volume.
    pub(crate) fn replace_machine(&mut self, town: TownId, now: Instant) {
        let id = self.next_machine();
        let old = self.present_machine(town).unwrap();
        let new = Machine { id: id.clone(), phase: Phase::On(now), made_at: now, ..old.clone() };
        old.phase = Phase::Gone(now);
        self.volume(&new.volume).unwrap().held_by = Some(id);
        self.machines.push(new);
    }

    /// Copies the machine, as an operator may do for an experiment. The copy has its own name and the town's metadata,
    /// and mounts a volume that does not exist.
    pub(crate) fn copy_machine(&mut self, town: TownId, now: Instant) {
        let (id, volume) = (self.next_machine(), format!("vol_{}", self.next()).parse().unwrap());
        let original = self.present_machine(town).unwrap().clone();
        let (name, phase) = ("copy".to_owned(), Phase::On(now));
        self.machines.push(Machine { id, volume, name, phase, made_at: now, ..original });
    }

    fn next_machine(&mut self) -> MachineId {
        format!("machine{}", self.next()).parse().unwrap()
    }
}
