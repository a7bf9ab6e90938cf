//! Machines and volumes that exist without an API call, such as leftovers of an operator or of another process.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::{self, ApiRequest},
    api_error::ApiError,
    regions,
    route::{Call, Route},
    world::World,
};

/// The image of a seeded machine.
const IMAGE: &str = "registry.fly.io/left-behind:1";

/// A machine that is created without an API call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSeed {
    /// The app.
    pub app: String,
    /// The name.
    pub name: String,
    /// The region. If `None`, the region of its volume.
    #[serde(default)]
    pub region: Option<String>,
    /// The metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The volume that the machine mounts.
    #[serde(default)]
    pub volume: Option<String>,
    /// The time since its creation, in seconds.
    #[serde(default)]
    pub age_seconds: u64,
}

impl MachineSeed {
    /// Returns a machine that is created now, without metadata and without a volume.
    pub fn new(app: &str, name: &str) -> Self {
        let (app, name) = (app.to_owned(), name.to_owned());
        Self { app, name, region: None, metadata: BTreeMap::new(), volume: None, age_seconds: 0 }
    }

    /// Adds an entry to the metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Mounts a volume.
    #[must_use]
    pub fn with_volume(self, volume: &str) -> Self {
        Self { volume: Some(volume.to_owned()), ..self }
    }

    /// Sets the time since its creation.
    #[must_use]
    pub fn with_age(self, age: Duration) -> Self {
        Self { age_seconds: age.as_secs(), ..self }
    }

    pub(crate) fn create_in(&self, world: &mut World) -> Result<String, ApiError> {
        let mounts: Vec<Value> =
            self.volume.iter().map(|volume| json!({ "volume": volume, "path": "/home/gt/data" })).collect();
        let config = json!({ "image": IMAGE, "metadata": self.metadata, "mounts": mounts });
        let body = json!({ "name": self.name, "region": self.region, "config": config });
        create(world, Call::CreateMachine, &self.app, body, self.age_seconds)
    }
}

/// A volume that is created without an API call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeSeed {
    /// The app.
    pub app: String,
    /// The name.
    pub name: String,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// The time since its creation, in seconds.
    #[serde(default)]
    pub age_seconds: u64,
}

pub(super) fn default_region() -> String {
    regions::DEFAULT.to_owned()
}

impl VolumeSeed {
    /// Returns a volume that is created now, in the default region.
    pub fn new(app: &str, name: &str) -> Self {
        Self { app: app.to_owned(), name: name.to_owned(), region: default_region(), age_seconds: 0 }
    }

    /// Sets the region.
    #[must_use]
    pub fn in_region(self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self }
    }

    /// Sets the time since its creation.
    #[must_use]
    pub fn with_age(self, age: Duration) -> Self {
        Self { age_seconds: age.as_secs(), ..self }
    }

    pub(crate) fn create_in(&self, world: &mut World) -> Result<String, ApiError> {
        let body = json!({ "name": self.name, "region": self.region });
        create(world, Call::CreateVolume, &self.app, body, self.age_seconds)
    }
}

/// Creates a machine or volume as the call does, under the same rules, and returns its id.
pub(super) fn create(
    world: &mut World,
    call: Call,
    app: &str,
    body: Value,
    age_seconds: u64,
) -> Result<String, ApiError> {
    let route = Route { call, app: app.to_owned(), id: String::new(), key: String::new() };
    let request = ApiRequest { route, query: Vec::new(), nonce: None, lists_deleted: false, body };
    let reply = api::answer(world, &request)?;
    let id = reply.value().and_then(|shown| shown["id"].as_str()).unwrap_or_default().to_owned();
    world.backdate(&id, Duration::from_secs(age_seconds));
    Ok(id)
}
