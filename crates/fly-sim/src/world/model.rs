//! The entities of the simulated Fly.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fmt,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    app_parts::{Hostname, IpAddress, SecretKey},
    event_queue::Transition,
};
use crate::{
    clock::SimTime,
    machine_state::State,
    rules,
    workload::{Files, Program},
};

/// An app: a namespace of machines, volumes and secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) org_slug: String,
    pub(crate) network: String,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) secrets_version: u64,
    pub(crate) access: AppAccess,
    /// Set once the app had a machine.
    pub(crate) was_deployed: bool,
    pub(crate) ips: Vec<IpAddress>,
    pub(crate) hostnames: BTreeMap<String, Hostname>,
    pub(crate) secret_keys: BTreeMap<String, SecretKey>,
}

/// The access that API callers have to an app. The app's machines keep running either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppAccess {
    /// Full access.
    #[default]
    Open,
    /// 404 on every call, as for a deleted app or a wrong name.
    NotFound,
    /// 403 on every call, as for an app of another organization or a token without the scope.
    Forbidden,
}

/// A secret of an app. Every machine of the app has it in its environment.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secret {
    #[serde(with = "super::stored::secret")]
    pub(crate) value: secrecy::SecretString,
    pub(crate) digest: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// A volume and its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) size_gb: u64,
    pub(crate) encrypted: bool,
    pub(crate) fstype: String,
    pub(crate) snapshot_retention: u64,
    pub(crate) auto_backup_enabled: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) creation: Creation,
    /// Reads and lists omit the volume before this time.
    pub(crate) visible_from: SimTime,
    /// The status of the host, which the machine of the volume shares.
    pub(crate) host: HostStatus,
    /// The machine that mounts the volume. It is cleared some time after the machine is destroyed.
    pub(crate) claimed_by: Option<String>,
    /// Set once the volume is deleted. Reads then show `pending_destroy`.
    pub(crate) deleted: bool,
    #[serde(with = "super::stored::files")]
    pub(crate) files: Files,
}

/// A copy of a volume's files at one time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) volume: String,
    pub(crate) region: String,
    pub(crate) volume_size_gb: u64,
    pub(crate) retention_days: u64,
    pub(crate) created_at: DateTime<Utc>,
    #[serde(with = "super::stored::files")]
    pub(crate) files: Files,
}

/// The reachability of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HostStatus {
    Up,
    Down,
}

impl HostStatus {
    /// Returns the value of Fly's `host_status`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "ok",
            Self::Down => "unreachable",
        }
    }
}

/// The creation of an entity, for list order and for lists that lag or omit the newest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Creation {
    pub(crate) sequence: u64,
    pub(crate) at: SimTime,
}

/// A lease on a machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) nonce: String,
    pub(crate) owner: String,
    pub(crate) description: String,
    pub(crate) expires: SimTime,
    pub(crate) version: String,
}

/// An entry of a machine's event log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MachineEvent {
    pub(crate) id: String,
    pub(crate) kind: Cow<'static, str>,
    pub(crate) status: State,
    pub(crate) source: Cow<'static, str>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) request: Option<Value>,
}

/// A machine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) state: State,
    pub(crate) private_ip: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) creation: Creation,
    /// Reads and lists omit the machine before this time.
    pub(crate) visible_from: SimTime,
    /// The last state before the machine began to be destroyed. A stale list still shows it.
    pub(crate) last_live_state: State,
    /// The version of the configuration; Fly's `instance_id`.
    pub(crate) version: String,
    /// Every version and its configuration, oldest first, including the current one.
    pub(crate) versions: Vec<(String, Map<String, Value>)>,
    pub(crate) config: Map<String, Value>,
    pub(crate) events: VecDeque<MachineEvent>,
    pub(crate) lease: Option<Lease>,
    pub(crate) cordoned: bool,
    /// The app's secrets as of the creation of this version.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Incremented by every new schedule. Events of an earlier schedule are void.
    pub(crate) schedule_version: u64,
    /// `start` is refused as 'still active' until this time.
    pub(crate) active_until: Option<SimTime>,
    /// The attempts of the restart policy since the last start.
    pub(crate) restarts: u64,
    #[serde(with = "super::stored::files")]
    pub(crate) rootfs: Files,
    /// The limit of the balloon device, in MB. If `None`, the whole memory.
    pub(crate) memory_limit_mb: Option<u64>,
    /// Set while the host is down. Transitions are deferred meanwhile.
    pub(crate) host_down: bool,
    /// The transition to apply when the host is up again.
    pub(crate) deferred: Option<Transition>,
    /// The program, once it serves.
    #[serde(skip)]
    pub(crate) program: Option<Box<dyn Program>>,
}

impl Machine {
    /// Returns the mounted volume and its mount point.
    pub(crate) fn mount(&self) -> Option<(&str, &str)> {
        mount_of(&self.config)
    }

    /// Replaces the mounted volume, also for the running program.
    pub(crate) fn remount(&mut self, volume: &str) {
        if let Some(mount) = self.config.get_mut("mounts").and_then(|mounts| mounts.get_mut(0)) {
            mount["volume"] = Value::from(volume);
        }
    }

    /// Returns the memory of the guest, in MB.
    pub(crate) fn memory_mb(&self) -> u64 {
        let guest = self.config.get("guest");
        let number = |key: &str| guest.and_then(|guest| guest.get(key)?.as_u64());
        let is_shared = guest.and_then(|guest| guest.get("cpu_kind")?.as_str()) != Some("performance");
        let per_cpu = if is_shared { rules::MIN_MB_PER_SHARED_CPU } else { rules::MIN_MB_PER_CPU };
        number("memory_mb").unwrap_or_else(|| number("cpus").unwrap_or(1) * per_cpu)
    }

    /// Returns a string map of the configuration, such as `env` or `metadata`.
    pub(crate) fn string_map(&self, key: &str) -> BTreeMap<String, String> {
        let map = self.config.get(key).and_then(Value::as_object);
        map.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// Returns true if the machine is destroyed after the end of its process, however it ends.
    pub(crate) fn destroys_itself(&self) -> bool {
        self.config.get("auto_destroy").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Returns true if the machine is destroyed or is being destroyed.
    pub(crate) fn is_destroyed_or_destroying(&self) -> bool {
        self.state.is_destroyed_or_destroying()
    }
}

/// Returns the volume and the path of the first mount of a configuration.
pub(crate) fn mount_of(config: &Map<String, Value>) -> Option<(&str, &str)> {
    let mount = config.get("mounts")?.as_array()?.first()?;
    Some((mount.get("volume")?.as_str()?, mount.get("path")?.as_str()?))
}
