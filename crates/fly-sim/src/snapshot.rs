//! Snapshots of the world, for tests and other processes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    machine_state::State,
    world::{Machine, Volume, World},
};

/// The state of a machine at one time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MachineSnapshot {
    /// The id.
    pub id: String,
    /// The app.
    pub app: String,
    /// The name, which is unique among the app's machines that are not destroyed.
    pub name: String,
    /// The state.
    pub state: State,
    /// The region.
    pub region: String,
    /// The creation time.
    pub created_at: DateTime<Utc>,
    /// The version of the configuration; Fly's `instance_id`.
    pub version: String,
    /// The metadata in the configuration.
    pub metadata: BTreeMap<String, String>,
    /// The environment in the configuration. Sealed values stay sealed.
    pub env: BTreeMap<String, String>,
    /// The mounted volume.
    pub volume: Option<String>,
    /// True if the program serves.
    pub serving: bool,
    /// The whole configuration.
    pub config: Value,
    /// True if the machine is destroyed and only its record is left.
    pub destroyed: bool,
}

/// The state of a volume at one time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeSnapshot {
    /// The id.
    pub id: String,
    /// The app.
    pub app: String,
    /// The name, which is not unique.
    pub name: String,
    /// The region.
    pub region: String,
    /// The creation time.
    pub created_at: DateTime<Utc>,
    /// The size in gigabytes.
    pub size_gb: u64,
    /// True if the volume is encrypted at rest.
    pub encrypted: bool,
    /// `created` or `pending_destroy`.
    pub state: String,
    /// The machine that the volume is bound to.
    pub attached_machine: Option<String>,
    /// The files as text, by path below the mount point.
    pub files: BTreeMap<String, String>,
    /// True if the volume is deleted and only its record is left.
    pub deleted: bool,
}

impl From<&Machine> for MachineSnapshot {
    fn from(machine: &Machine) -> Self {
        Self {
            id: machine.id.clone(),
            app: machine.app.clone(),
            name: machine.name.clone(),
            state: machine.state,
            region: machine.region.clone(),
            created_at: machine.created_at,
            version: machine.version.clone(),
            metadata: machine.string_map("metadata"),
            env: machine.string_map("env"),
            volume: machine.mount().map(|(volume, _)| volume.to_owned()),
            serving: machine.program.is_some(),
            config: Value::Object(machine.config.clone()),
            destroyed: machine.state == State::Destroyed,
        }
    }
}

impl From<&Volume> for VolumeSnapshot {
    fn from(volume: &Volume) -> Self {
        let files = volume.files.iter();
        Self {
            id: volume.id.clone(),
            app: volume.app.clone(),
            name: volume.name.clone(),
            region: volume.region.clone(),
            created_at: volume.created_at,
            size_gb: volume.size_gb,
            encrypted: volume.encrypted,
            state: volume.state().to_owned(),
            attached_machine: volume.claimed_by.clone(),
            files: files.map(|(path, bytes)| (path.clone(), String::from_utf8_lossy(bytes).into_owned())).collect(),
            deleted: volume.deleted,
        }
    }
}

/// Returns all machines, including destroyed ones, oldest first.
pub(crate) fn machines(world: &World) -> Vec<MachineSnapshot> {
    let mut machines: Vec<&Machine> = world.machines.values().collect();
    machines.sort_by_key(|machine| machine.creation);
    machines.into_iter().map(MachineSnapshot::from).collect()
}

/// Returns all volumes, including deleted ones, oldest first.
pub(crate) fn volumes(world: &World) -> Vec<VolumeSnapshot> {
    let mut volumes: Vec<&Volume> = world.volumes.values().collect();
    volumes.sort_by_key(|volume| volume.creation);
    volumes.into_iter().map(VolumeSnapshot::from).collect()
}
