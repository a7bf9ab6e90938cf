//! A machine's configuration: what we send (whole, each time: Fly merges nothing) and what we read back.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::lenient;

/// The configuration of a machine, complete.
///
/// `Debug` shows the names of the environment's variables and none of their values.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct MachineConfig {
    /// The image, best by digest.
    pub image: String,
    /// The environment, readable by everybody who may read the machine: seal what is secret.
    pub env: BTreeMap<String, String>,
    /// The size.
    pub guest: Guest,
    /// At most one on Fly.
    pub mounts: Vec<Mount>,
    /// What Fly's proxy forwards to.
    pub services: Vec<Service>,
    /// What happens when the main process exits.
    pub restart: Restart,
    /// How a stop is done.
    pub stop_config: StopConfig,
    /// Tags. Keys that begin with `fly_` are the platform's.
    pub metadata: BTreeMap<String, String>,
    /// Whether the machine destroys itself when its process ends.
    pub auto_destroy: bool,
}

/// Size of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// `shared` or `performance`.
    pub cpu_kind: String,
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
    /// Where it is mounted.
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
    /// The ports outside.
    pub ports: Vec<Port>,
    /// Whether the proxy starts a stopped machine. Off: only the control plane starts a town (FM-23).
    pub autostart: bool,
    /// Whether the proxy stops an idle machine.
    pub autostop: Autostop,
}

/// One outside port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its number.
    pub port: u16,
    /// `http`, `tls`.
    pub handlers: Vec<&'static str>,
}

/// What the proxy does with an idle machine. Written as text; read back as a bool for off and stop, as text else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Autostop {
    /// Nothing.
    Off,
    /// Stops it.
    Stop,
    /// Suspends it.
    Suspend,
}

impl<'de> Deserialize<'de> for Autostop {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Flag(bool),
            Word(String),
        }
        Ok(match Option::<Written>::deserialize(from)? {
            None | Some(Written::Flag(false)) => Self::Off,
            Some(Written::Flag(true)) => Self::Stop,
            Some(Written::Word(word)) => match word.as_str() {
                "suspend" => Self::Suspend,
                "stop" => Self::Stop,
                _ => Self::Off,
            },
        })
    }
}

/// What happens when the main process exits.
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
    /// How long the process has before it is killed, as a Go duration (`30s`).
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

/// The configuration as read back, as far as this client looks at it. The environment's values are dropped unread.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ConfigSeen {
    /// The image as it was asked for.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub image: Option<String>,
    /// Names of the environment's variables.
    #[serde(default, deserialize_with = "names_only")]
    pub env: Vec<String>,
    /// Tags.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub metadata: BTreeMap<String, String>,
    /// Volumes.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub mounts: Vec<Mount>,
    /// Size.
    #[serde(default)]
    pub guest: Option<Guest>,
    /// Ports behind the proxy.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub services: Vec<ServiceSeen>,
}

/// A service as read back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ServiceSeen {
    /// The port inside the machine.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub internal_port: u16,
    /// Whether the proxy starts the machine.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub autostart: bool,
    /// What the proxy does with an idle machine; `None` where the answer does not say.
    #[serde(default)]
    pub autostop: Option<Autostop>,
}

fn names_only<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an environment or null")
        }

        fn visit_unit<E>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some((name, IgnoredAny)) = map.next_entry()? {
                names.push(name);
            }
            Ok(names)
        }
    }

    from.deserialize_any(Names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_environment_is_read_by_name_and_its_values_are_dropped() {
        let config: ConfigSeen = serde_json::from_value(
            json!({ "env": { "A": "canary", "B": null, "C": 1 }, "image": "", "metadata": null, "mounts": null }),
        )
        .unwrap();
        assert_eq!(config, ConfigSeen { env: vec!["A".into(), "B".into(), "C".into()], ..ConfigSeen::default() });
        let config: ConfigSeen = serde_json::from_value(json!({ "env": null })).unwrap();
        assert_eq!(config, ConfigSeen::default());
    }

    #[test]
    fn autostop_is_read_as_flag_and_as_word() {
        for (written, want) in [
            (json!(false), Some(Autostop::Off)),
            (json!("off"), Some(Autostop::Off)),
            (json!(true), Some(Autostop::Stop)),
            (json!("stop"), Some(Autostop::Stop)),
            (json!("suspend"), Some(Autostop::Suspend)),
            (json!(null), None),
        ] {
            let seen: ServiceSeen = serde_json::from_value(json!({ "internal_port": 1, "autostop": written })).unwrap();
            assert_eq!(seen.autostop, want, "{written}");
        }
    }
}
