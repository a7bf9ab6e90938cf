//! Machines and volumes that are there without anybody having called for them: what an operator, another process or a
//! lost answer left behind.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::{self, ApiRequest},
    api_error::ApiError,
    route::{Call, Route},
    rules,
    world::World,
};

/// What a machine needs when no test is about its image.
const IMAGE: &str = "registry.fly.io/left-behind:1";

/// A machine that is to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSeed {
    /// The app.
    pub app: String,
    /// Its name.
    pub name: String,
    /// Where; without one, where its volume is.
    #[serde(default)]
    pub region: Option<String>,
    /// Its metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The volume it holds.
    #[serde(default)]
    pub volume: Option<String>,
    /// How long ago it was made.
    #[serde(default)]
    pub age_seconds: u64,
}

impl MachineSeed {
    /// The smallest: untagged, without a volume, made just now.
    pub fn new(app: &str, name: &str) -> Self {
        let (app, name) = (app.to_owned(), name.to_owned());
        Self { app, name, region: None, metadata: BTreeMap::new(), volume: None, age_seconds: 0 }
    }

    /// With this metadata, too.
    #[must_use]
    pub fn tagged(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Holding this volume.
    #[must_use]
    pub fn holding(self, volume: &str) -> Self {
        Self { volume: Some(volume.to_owned()), ..self }
    }

    /// Made so long ago.
    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        Self { age_seconds: age.as_secs(), ..self }
    }

    pub(crate) fn plant(&self, world: &mut World) -> Result<String, ApiError> {
        let mounts: Vec<Value> =
            self.volume.iter().map(|volume| json!({ "volume": volume, "path": "/home/gt/data" })).collect();
        let config = json!({ "image": IMAGE, "metadata": self.metadata, "mounts": mounts });
        let body = json!({ "name": self.name, "region": self.region, "config": config });
        made(world, Call::CreateMachine, &self.app, body, self.age_seconds)
    }
}

/// A volume that is to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeSeed {
    /// The app.
    pub app: String,
    /// Its name.
    pub name: String,
    /// Where.
    #[serde(default = "usual_region")]
    pub region: String,
    /// How long ago it was made.
    #[serde(default)]
    pub age_seconds: u64,
}

fn usual_region() -> String {
    rules::DEFAULT_REGION.to_owned()
}

impl VolumeSeed {
    /// One in the usual region, made just now.
    pub fn new(app: &str, name: &str) -> Self {
        Self { app: app.to_owned(), name: name.to_owned(), region: usual_region(), age_seconds: 0 }
    }

    /// In this region.
    #[must_use]
    pub fn in_region(self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self }
    }

    /// Made so long ago.
    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        Self { age_seconds: age.as_secs(), ..self }
    }

    pub(crate) fn plant(&self, world: &mut World) -> Result<String, ApiError> {
        let body = json!({ "name": self.name, "region": self.region });
        made(world, Call::CreateVolume, &self.app, body, self.age_seconds)
    }
}

/// Made as the call would make it, under the same rules.
fn made(world: &mut World, call: Call, app: &str, body: Value, age_seconds: u64) -> Result<String, ApiError> {
    let route = Route { call, app: app.to_owned(), id: String::new(), key: String::new() };
    let request = ApiRequest { route, query: Vec::new(), nonce: None, lists_deleted: false, body };
    let reply = api::answer(world, &request)?;
    let id = reply.value().and_then(|shown| shown["id"].as_str()).unwrap_or_default().to_owned();
    world.backdate(&id, Duration::from_secs(age_seconds));
    Ok(id)
}
