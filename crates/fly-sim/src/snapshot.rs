//! The world as tests and other processes see it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    machine_state::State,
    world::{Machine, Volume, World},
};

/// A machine at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MachineSnapshot {
    /// Fly's id.
    pub id: String,
    /// The app it belongs to.
    pub app: String,
    /// Its name, unique in the app among machines that are not destroyed.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Where it is.
    pub region: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Fly's `instance_id`.
    pub version: String,
    /// The metadata of its configuration.
    pub metadata: BTreeMap<String, String>,
    /// The environment of its configuration, sealed values as they are.
    pub env: BTreeMap<String, String>,
    /// The volume it mounts.
    pub volume: Option<String>,
    /// Whether its sandbox serves.
    pub serving: bool,
    /// The whole configuration.
    pub config: Value,
    /// Whether it is destroyed: only its record is left.
    pub destroyed: bool,
}

/// A volume at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeSnapshot {
    /// Fly's id.
    pub id: String,
    /// The app it belongs to.
    pub app: String,
    /// Its name; not unique.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Gigabytes.
    pub size_gb: u64,
    /// Whether it is encrypted at rest.
    pub encrypted: bool,
    /// `created` or `pending_destroy`.
    pub state: String,
    /// The machine it is bound to.
    pub attached_machine: Option<String>,
    /// Its files as text, by path below the mount point.
    pub files: BTreeMap<String, String>,
    /// Whether it is deleted: only its record is left.
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
            metadata: machine.strings("metadata"),
            env: machine.strings("env"),
            volume: machine.mount().map(|(volume, _)| volume.to_owned()),
            serving: machine.sandbox.is_some(),
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

/// Every machine, destroyed ones included, oldest first.
pub(crate) fn machines(world: &World) -> Vec<MachineSnapshot> {
    let mut machines: Vec<&Machine> = world.machines.values().collect();
    machines.sort_by_key(|machine| machine.born);
    machines.into_iter().map(MachineSnapshot::from).collect()
}

/// Every volume, deleted ones included, oldest first.
pub(crate) fn volumes(world: &World) -> Vec<VolumeSnapshot> {
    let mut volumes: Vec<&Volume> = world.volumes.values().collect();
    volumes.sort_by_key(|volume| volume.born);
    volumes.into_iter().map(VolumeSnapshot::from).collect()
}
