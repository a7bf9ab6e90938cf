//! The resources on the simulated Fly that the checks need.

use fly_sim::{FlySim, MachineSnapshot, VolumeSnapshot};
use serde::{Deserialize, Serialize};

/// All machines and volumes, and the volumes that were deleted.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct World {
    pub(super) machines: Vec<Machine>,
    pub(super) volumes: Vec<Volume>,
    pub(super) deleted_volumes: Vec<Volume>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) id: String,
    pub(super) app: String,
    pub(super) name: String,
    /// The town in its metadata.
    pub(super) town: String,
    pub(super) state: String,
    pub(super) volume: Option<String>,
    /// True if its sandbox answers.
    pub(super) serving: bool,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Volume {
    pub(super) id: String,
    pub(super) app: String,
    /// Derived from the town. Fly allows several volumes with one name.
    pub(super) name: String,
    /// The names of the rigs on it.
    pub(super) rigs: Vec<String>,
    /// True if anything was ever written to it.
    pub(super) has_data: bool,
}

impl World {
    pub(super) fn of(fly: &FlySim) -> Self {
        let (deleted, volumes): (Vec<_>, Vec<_>) = fly.all_volumes().into_iter().partition(|volume| volume.deleted);
        Self {
            machines: fly.machines().into_iter().map(Machine::from).collect(),
            volumes: volumes.into_iter().map(Volume::from).collect(),
            deleted_volumes: deleted.into_iter().map(Volume::from).collect(),
        }
    }

    /// Returns true if no machine is in a transitional state.
    pub(super) fn is_at_rest(&self) -> bool {
        self.machines.iter().all(|machine| ["started", "stopped"].contains(&machine.state.as_str()))
    }

    pub(super) fn machine(&self, id: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.id == id)
    }

    pub(super) fn volume(&self, id: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.id == id)
    }
}

impl From<MachineSnapshot> for Machine {
    fn from(mut machine: MachineSnapshot) -> Self {
        Self {
            town: machine.metadata.remove("gastown_town_id").unwrap_or_default(),
            state: machine.state.to_string(),
            id: machine.id,
            app: machine.app,
            name: machine.name,
            volume: machine.volume,
            serving: machine.serving,
        }
    }
}

/// An entry of the file in which a sandbox keeps its rigs.
#[derive(Deserialize)]
struct Rig {
    name: String,
}

impl From<VolumeSnapshot> for Volume {
    fn from(volume: VolumeSnapshot) -> Self {
        let rigs = volume.files.get("rigs.json").and_then(|file| serde_json::from_str::<Vec<Rig>>(file).ok());
        let rigs = rigs.unwrap_or_default().into_iter().map(|rig| rig.name).collect();
        Self { id: volume.id, app: volume.app, name: volume.name, rigs, has_data: !volume.files.is_empty() }
    }
}
