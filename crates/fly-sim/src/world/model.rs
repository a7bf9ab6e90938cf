//! What exists on the simulated Fly.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::agenda::Next;
use crate::{machine_state::State, sandbox_process::Sandbox};

/// Files by path, relative to the root they lie under.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// An app: a namespace of machines, volumes and secrets.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) org_slug: String,
    pub(crate) network: String,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) secrets_version: u64,
    pub(crate) access: AppAccess,
}

/// How an app looks to whoever calls. What is in it goes on living, its sandboxes answer as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppAccess {
    /// As it is.
    #[default]
    Open,
    /// 404 on every call: as if the app were deleted, or its name wrong.
    NotFound,
    /// 403 on every call: another organization's, or the token has lost its scope.
    Forbidden,
}

/// A secret of an app; every machine of the app finds it in its environment.
#[derive(Clone)]
pub(crate) struct Secret {
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

/// A volume and the files on it.
#[derive(Debug, Clone)]
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
    pub(crate) born: Born,
    /// Reads and lists know nothing of it before.
    pub(crate) shown_from: Instant,
    /// Its machine's host, too.
    pub(crate) host: Host,
    /// The machine that mounts it, until that machine is gone and the binding has been released.
    pub(crate) claimed_by: Option<String>,
    /// Deleted: reads `pending_destroy`.
    pub(crate) deleted: bool,
    pub(crate) files: Files,
}

/// Whether the host that a volume lies on can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Up,
    Down,
}

impl Host {
    /// Fly's `host_status`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "ok",
            Self::Down => "unreachable",
        }
    }
}

/// When something came into being: for lists that lag and lists that miss the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Born {
    pub(crate) order: u64,
    pub(crate) at: Instant,
}

/// A lease on a machine.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) nonce: String,
    pub(crate) owner: String,
    pub(crate) description: String,
    pub(crate) expires: Instant,
    pub(crate) version: String,
}

/// One line of a machine's history.
#[derive(Debug, Clone)]
pub(crate) struct MachineEvent {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) status: State,
    pub(crate) source: &'static str,
    pub(crate) at: DateTime<Utc>,
    pub(crate) request: Option<Value>,
}

/// A machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) state: State,
    pub(crate) private_ip: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) born: Born,
    /// Reads and lists know nothing of it before.
    pub(crate) shown_from: Instant,
    /// The last state in which it was not on its way out: what a list that lags still shows.
    pub(crate) last_alive: State,
    /// Identifies the version of the configuration; Fly's `instance_id`.
    pub(crate) version: String,
    /// Version and configuration, oldest first, the current one included.
    pub(crate) versions: Vec<(String, Map<String, Value>)>,
    pub(crate) config: Map<String, Value>,
    pub(crate) events: VecDeque<MachineEvent>,
    pub(crate) lease: Option<Lease>,
    pub(crate) cordoned: bool,
    /// The secrets as they were when this version was made.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Counts changes of plan: what was scheduled before the last one no longer happens.
    pub(crate) plan: u64,
    /// `start` is refused as 'still active' until then.
    pub(crate) active_until: Option<Instant>,
    /// Attempts of the restart policy since the last start.
    pub(crate) restarts: u64,
    pub(crate) rootfs: Files,
    /// The host is down: nothing happens on it, and what should have happened waits.
    pub(crate) host_down: bool,
    /// What falls due as soon as the host is up again.
    pub(crate) held: Option<Next>,
    /// The process on the machine, once it serves.
    pub(crate) sandbox: Option<Sandbox>,
}

impl Machine {
    /// The mounted volume and where it is mounted.
    pub(crate) fn mount(&self) -> Option<(&str, &str)> {
        mount_of(&self.config)
    }

    /// Mounts another volume in the place of the present one, the running process included.
    pub(crate) fn remount(&mut self, volume: &str) {
        if let Some(mount) = self.config.get_mut("mounts").and_then(|mounts| mounts.get_mut(0)) {
            mount["volume"] = Value::from(volume);
        }
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.volume = Some(volume.to_owned());
        }
    }

    /// A string map of the configuration: `env`, `metadata`.
    pub(crate) fn strings(&self, key: &str) -> BTreeMap<String, String> {
        let map = self.config.get(key).and_then(Value::as_object);
        map.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// Whether the machine is, or is about to be, gone.
    pub(crate) fn is_leaving(&self) -> bool {
        self.state.is_leaving()
    }
}

/// The first mount of a configuration: volume and path.
pub(crate) fn mount_of(config: &Map<String, Value>) -> Option<(&str, &str)> {
    let mount = config.get("mounts")?.as_array()?.first()?;
    Some((mount.get("volume")?.as_str()?, mount.get("path")?.as_str()?))
}
