//! A machine's configuration, as sent and as read. It is sent whole each time, because Fly merges nothing.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::lenient;

/// The complete configuration of a machine.
///
/// `Debug` shows the names of the environment's variables and none of their values.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct MachineConfig {
    /// The image, preferably by digest.
    pub image: String,
    /// The environment. Everyone who may read the machine can read it, so secret values are sealed.
    pub env: BTreeMap<String, String>,
    /// The size.
    pub guest: Guest,
    /// The volumes. Fly allows at most one.
    pub mounts: Vec<Mount>,
    /// The ports behind Fly's proxy.
    pub services: Vec<Service>,
    /// The restart policy for when the main process exits.
    pub restart: Restart,
    /// How a stop is done.
    pub stop_config: StopConfig,
    /// Tags. Keys that begin with `fly_` belong to the platform.
    pub metadata: BTreeMap<String, String>,
    /// True if the machine is destroyed when its process ends.
    pub auto_destroy: bool,
}

/// Size of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guest {
    /// `shared` or `performance`.
    pub cpu_kind: &'static str,
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
}

/// A volume in the machine's file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The volume's id. Changes when Fly moves the machine to another host.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub volume: String,
    /// The mount point.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub path: String,
}

/// One port behind Fly's proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The port inside the machine.
    pub internal_port: u16,
    /// The public ports.
    pub ports: Vec<Port>,
    /// True if the proxy starts a stopped machine. Off, because only the control plane starts a town (FM-23).
    pub autostart: bool,
    /// The proxy's action on an idle machine: `off`, `stop` or `suspend`.
    pub autostop: &'static str,
}

/// One public port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its number.
    pub port: u16,
    /// `http`, `tls`.
    pub handlers: Vec<&'static str>,
}

/// The restart policy for when the main process exits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restart {
    /// `no`, `always` or `on-failure`.
    pub policy: &'static str,
    /// How often `on-failure` tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// How a stop is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StopConfig {
    /// The signal's name.
    pub signal: &'static str,
    /// The time between the signal and the kill, as a Go duration (`30s`).
    pub timeout: String,
}

impl fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineConfig")
            .field("image", &self.image)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("guest", &self.guest)
            .field("mounts", &self.mounts)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

/// The part of a configuration that this client reads. The environment is never read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ConfigSeen {
    /// Tags.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub metadata: BTreeMap<String, String>,
    /// Volumes.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub mounts: Vec<Mount>,
}
