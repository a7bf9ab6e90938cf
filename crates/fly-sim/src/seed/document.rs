//! A document with whole apps, from a file or from a test.

use std::{collections::BTreeMap, fmt, io, path::Path, path::PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::entities::{create, default_region};
use crate::{
    api,
    api_error::ApiError,
    machine_state::State,
    route::Call,
    world::{AppAccess, World},
};

/// The image of a machine that names none.
const IMAGE: &str = "registry.fly.io/seeded:1";
/// The mount point of a machine's volume.
const MOUNT_POINT: &str = "/data";
/// The maximum size of a seed file, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Apps with their secrets, volumes and machines, in TOML or JSON.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedDocument {
    /// The apps. An app that exists gets the secrets, volumes and machines in addition.
    #[serde(default)]
    pub apps: Vec<AppSeed>,
}

/// An app with its contents.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSeed {
    /// The name.
    pub name: String,
    /// The secrets, by name.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The volumes. Machines mount them by name.
    #[serde(default)]
    pub volumes: Vec<SeededVolume>,
    /// The machines.
    #[serde(default)]
    pub machines: Vec<SeededMachine>,
}

impl fmt::Debug for AppSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.secrets.keys().collect();
        let mut shown = f.debug_struct("AppSeed");
        shown.field("name", &self.name).field("secrets", &names);
        shown.field("volumes", &self.volumes).field("machines", &self.machines).finish()
    }
}

/// A volume of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeededVolume {
    /// The name.
    pub name: String,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// The size in gigabytes.
    #[serde(default = "one")]
    pub size_gb: u64,
    /// The files as text, by path below the mount point.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The time since the creation, in seconds.
    #[serde(default)]
    pub age_seconds: u64,
}

fn one() -> u64 {
    1
}

/// A machine of an app.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeededMachine {
    /// The name. If absent, it is generated.
    #[serde(default)]
    pub name: Option<String>,
    /// The region. If absent, that of its volume.
    #[serde(default)]
    pub region: Option<String>,
    /// The state: `created`, `started`, `stopped` or `suspended`.
    #[serde(default = "started")]
    pub state: State,
    /// The image.
    #[serde(default)]
    pub image: Option<String>,
    /// The environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The name of the volume that is mounted at `/data`.
    #[serde(default)]
    pub volume: Option<String>,
    /// Further fields of the machine's `config`, as in Fly's API. They win over the fields above.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// The time since the creation, in seconds.
    #[serde(default)]
    pub age_seconds: u64,
}

fn started() -> State {
    State::Started
}

/// An error in a seed document.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The file is too large.
    #[error("{} has more than {MAX_FILE} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The text is not valid JSON or misses a field.
    #[error("seed is invalid: {0}")]
    Json(serde_json::Error),
    /// The text is not valid TOML or misses a field. The text is not shown, because it may have secrets.
    #[error("seed is invalid: {0}")]
    Toml(String),
    /// Fly would refuse an entry.
    #[error("{entry}: {reason}")]
    Refused {
        /// The entry.
        entry: String,
        /// The text that Fly would answer.
        reason: String,
    },
    /// A machine names a volume that its app lacks.
    #[error("machine {machine} mounts volume {volume}, which its app does not have")]
    UnknownVolume {
        /// The machine.
        machine: String,
        /// The volume.
        volume: String,
    },
    /// A machine cannot be seeded in its state.
    #[error("machine {machine} cannot be seeded as {state}: use created, started, stopped or suspended")]
    State {
        /// The machine.
        machine: String,
        /// The state.
        state: State,
    },
}

impl SeedDocument {
    /// Parses a document in JSON.
    pub fn from_json(text: &str) -> Result<Self, SeedError> {
        serde_json::from_str(text).map_err(SeedError::Json)
    }

    /// Parses a document in TOML.
    pub fn from_toml(text: &str) -> Result<Self, SeedError> {
        toml::from_str(text).map_err(|error| SeedError::Toml(error.message().to_owned()))
    }

    /// Reads a file. Its name ends in `.json`, or else it is TOML.
    pub fn read(path: &Path) -> Result<Self, SeedError> {
        let failed = |cause| SeedError::Read { path: path.to_owned(), cause };
        if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
            return Err(SeedError::TooLarge { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if is_json { Self::from_json(&text) } else { Self::from_toml(&text) }
    }

    /// Adds an app without contents.
    #[must_use]
    pub fn with_app(mut self, name: &str) -> Self {
        self.apps.push(AppSeed { name: name.to_owned(), ..AppSeed::default() });
        self
    }

    /// Creates the entries. Those before a refused one stay.
    pub(crate) fn create_in(&self, world: &mut World) -> Result<(), SeedError> {
        self.apps.iter().try_for_each(|app| app.create_in(world))
    }
}

impl AppSeed {
    fn create_in(&self, world: &mut World) -> Result<(), SeedError> {
        let refused = |entry: &str, name: &str, error: ApiError| SeedError::Refused {
            entry: format!("{entry} {name}"),
            reason: error.to_string(),
        };
        if !world.apps.contains_key(&self.name) {
            let (org, network) = (world.settings.org_slug.clone(), "default".to_owned());
            let created = api::apps::add(world, &self.name, org, network, AppAccess::Open);
            created.map_err(|error| refused("app", &self.name, error))?;
        }
        for (name, value) in &self.secrets {
            let put = api::secrets::put(world, &self.name, name, SecretString::from(value.as_str()));
            put.map_err(|error| refused("secret", name, error))?;
        }
        for volume in &self.volumes {
            volume.create_in(world, &self.name).map_err(|error| refused("volume", &volume.name, error))?;
        }
        self.machines.iter().try_for_each(|machine| machine.create_in(world, &self.name))
    }
}

impl SeededVolume {
    fn create_in(&self, world: &mut World, app: &str) -> Result<(), ApiError> {
        let body = json!({ "name": self.name, "region": self.region, "size_gb": self.size_gb });
        let id = create(world, Call::CreateVolume, app, body, self.age_seconds)?;
        if let Some(volume) = world.volumes.get_mut(&id) {
            volume.files = self.files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        }
        Ok(())
    }
}

impl SeededMachine {
    fn create_in(&self, world: &mut World, app: &str) -> Result<(), SeedError> {
        let shown = self.name.clone().unwrap_or_else(|| "without a name".to_owned());
        if !matches!(self.state, State::Created | State::Started | State::Stopped | State::Suspended) {
            return Err(SeedError::State { machine: shown, state: self.state });
        }
        let body = json!({ "name": self.name, "region": self.region, "config": self.config(world, app, &shown)? });
        let id = create(world, Call::CreateMachine, app, body, self.age_seconds)
            .map_err(|error| SeedError::Refused { entry: format!("machine {shown}"), reason: error.to_string() })?;
        world.put_in_state(&id, self.state);
        Ok(())
    }

    fn config(&self, world: &World, app: &str, shown: &str) -> Result<Value, SeedError> {
        let image = self.image.as_deref().unwrap_or(IMAGE);
        let mut config = json!({ "image": image, "env": self.env, "metadata": self.metadata });
        if let Some(name) = &self.volume {
            let mut volumes = world.volumes.values();
            let is_free = |claimed: &Option<String>| claimed.is_none();
            let found = volumes.find(|volume| {
                volume.app == app && volume.name == *name && !volume.deleted && is_free(&volume.claimed_by)
            });
            let unknown = || SeedError::UnknownVolume { machine: shown.to_owned(), volume: name.clone() };
            config["mounts"] = json!([{ "volume": found.ok_or_else(unknown)?.id, "path": MOUNT_POINT }]);
        }
        for (name, value) in &self.config {
            config[name] = value.clone();
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_and_json_give_the_same_document() {
        let toml = r#"
            [[apps]]
            name = "mill"
            secrets = { KEY = "value" }
            [[apps.volumes]]
            name = "data"
            files = { "a.txt" = "hello" }
            [[apps.machines]]
            name = "one"
            volume = "data"
            state = "stopped"
            config = { guest = { cpus = 2 } }
        "#;
        let json = json!({ "apps": [{
            "name": "mill", "secrets": { "KEY": "value" }, "volumes": [{ "name": "data", "files": { "a.txt": "hello" } }],
            "machines": [{ "name": "one", "volume": "data", "state": "stopped", "config": { "guest": { "cpus": 2 } } }],
        }] });
        let document = SeedDocument::from_toml(toml).unwrap();
        assert_eq!(document, SeedDocument::from_json(&json.to_string()).unwrap());
        assert_eq!(document.apps[0].machines[0].state, State::Stopped);
        assert!(!format!("{document:?}").contains("value"), "secrets are not printed");
    }

    #[test]
    fn unknown_fields_are_refused_without_showing_the_text() {
        let error = SeedDocument::from_toml("[[apps]]\nname = 'a'\nsecret = { KEY = 'canary' }").unwrap_err();
        assert!(error.to_string().contains("secret") && !format!("{error:?}").contains("canary"), "{error}");
    }
}
