//! Changes of a town's configuration, each compared with the version that its author read.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::{FirstRig, IdleMinutes, Invalid, Models, TownConfig};

/// The largest configuration, in bytes as JSON. It is part of every list of towns, so it must stay small (FM-47).
pub const MAX_CONFIG_BYTES: usize = 32 * 1024;

/// The version of a configuration: a digest of its content. Equal configurations have equal versions.
///
/// A reader keeps it and does not interpret it. Another version of this service may compute another digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigVersion(String);

impl ConfigVersion {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ConfigVersion {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        crate::id::bounded(raw, 64)?;
        match raw.chars().find(|c| !c.is_ascii_graphic()) {
            Some(bad) => Err(Invalid::Character { bad, allowed: "printable ASCII characters" }),
            None => Ok(Self(raw.to_owned())),
        }
    }
}

impl TownConfig {
    /// Returns the version.
    pub fn version(&self) -> ConfigVersion {
        let mut content = serde_json::to_value(self).unwrap_or_default();
        // The order of keys has no meaning, and differs between databases.
        content.sort_all_objects();
        let digest = Sha256::digest(content.to_string().as_bytes());
        ConfigVersion(digest.iter().take(8).fold(String::with_capacity(16), |hex, byte| hex + &format!("{byte:02x}")))
    }
}

/// A change of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The key stays as it is.
    #[default]
    Keep,
    /// The key is removed.
    Remove,
    /// The key gets this value.
    Set(T),
}

/// A change of a configuration. Each key that it names is set or removed, and every other key stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigPatch {
    /// The first rigs. They do not change, so a patch may only repeat them.
    pub rigs: Option<Vec<FirstRig>>,
    /// The models to use.
    pub models: Change<Models>,
    /// The maximum number of workers.
    pub max_polecats: Change<u32>,
    /// The minutes without use after which the town is stopped.
    pub idle_stop_minutes: Change<IdleMinutes>,
    /// Keys that this version does not know. `null` removes a key.
    pub other: Map<String, Value>,
}

/// The reason why a change of a configuration is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigRefusal {
    /// The change has other first rigs than the town.
    #[error("first rigs of a town cannot change")]
    FirstRigs,
    /// The configuration would be larger than [`MAX_CONFIG_BYTES`].
    #[error("configuration is too large")]
    TooLarge,
}

impl ConfigPatch {
    /// Returns the stored configuration after this change. What is not named stays as it is stored, understood or not.
    ///
    /// `config` is the same configuration, as it is understood.
    ///
    /// # Errors
    ///
    /// A refusal. Then nothing is to be stored.
    pub fn applied_to(
        &self,
        stored: &Map<String, Value>,
        config: &TownConfig,
    ) -> Result<Map<String, Value>, ConfigRefusal> {
        if self.rigs.as_ref().is_some_and(|rigs| *rigs != config.rigs) {
            return Err(ConfigRefusal::FirstRigs);
        }
        let mut after = stored.clone();
        change(&mut after, "models", &self.models);
        change(&mut after, "max_polecats", &self.max_polecats);
        change(&mut after, "idle_stop_minutes", &self.idle_stop_minutes);
        for (key, value) in &self.other {
            let value = if value.is_null() { Change::Remove } else { Change::Set(value) };
            change(&mut after, key, &value);
        }
        // A configuration that was stored larger may still become smaller.
        let size = size_of(&after);
        if size > MAX_CONFIG_BYTES && size > size_of(stored) {
            return Err(ConfigRefusal::TooLarge);
        }
        Ok(after)
    }
}

fn change<T: Serialize>(config: &mut Map<String, Value>, key: &str, change: &Change<T>) {
    match change {
        Change::Keep => {}
        Change::Remove => drop(config.remove(key)),
        Change::Set(value) => {
            drop(config.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default()));
        }
    }
}

fn size_of(config: &Map<String, Value>) -> usize {
    serde_json::to_vec(config).map_or(usize::MAX, |text| text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored() -> Map<String, Value> {
        let config = json!({
            "rigs": [{"rigName": "app", "repoUrl": "https://github.com/a/b", "of_the_future": 1}],
            "models": {"mayor": "large"},
            "max_polecats": 4,
            "theme": "dark",
        });
        config.as_object().unwrap().clone()
    }

    fn read(stored: &Map<String, Value>) -> TownConfig {
        serde_json::from_value(Value::Object(stored.clone())).unwrap()
    }

    fn applied(patch: &ConfigPatch) -> Result<Map<String, Value>, ConfigRefusal> {
        patch.applied_to(&stored(), &read(&stored()))
    }

    #[test]
    fn named_keys_change_and_all_others_stay_as_they_are_stored() {
        let patch = ConfigPatch {
            rigs: Some(read(&stored()).rigs),
            models: Change::Set(Models::Preferred(vec!["small".to_owned()])),
            max_polecats: Change::Remove,
            idle_stop_minutes: IdleMinutes::new(30).map_or(Change::Keep, Change::Set),
            other: json!({"size": "small", "theme": null}).as_object().unwrap().clone(),
        };
        let mut wanted = stored();
        wanted.insert("models".to_owned(), json!(["small"]));
        wanted.insert("size".to_owned(), json!("small"));
        wanted.remove("max_polecats");
        wanted.insert("idle_stop_minutes".to_owned(), json!(30));
        wanted.remove("theme");
        assert_eq!(applied(&patch).unwrap(), wanted);
        assert_eq!(applied(&ConfigPatch::default()).unwrap(), stored());
    }

    #[test]
    fn first_rigs_do_not_change() {
        let patch = ConfigPatch { rigs: Some(Vec::new()), ..ConfigPatch::default() };
        assert_eq!(applied(&patch).unwrap_err(), ConfigRefusal::FirstRigs);
    }

    #[test]
    fn configuration_stays_bounded() {
        let filled = |length: usize| {
            let other = Map::from_iter([("theme".to_owned(), Value::from("x".repeat(length)))]);
            ConfigPatch { other, ..ConfigPatch::default() }
        };
        let room = MAX_CONFIG_BYTES - size_of(&applied(&filled(0)).unwrap());
        let full = applied(&filled(room)).unwrap();
        assert_eq!(size_of(&full), MAX_CONFIG_BYTES);
        assert_eq!(applied(&filled(room + 1)).unwrap_err(), ConfigRefusal::TooLarge);
        // One that another service has stored may shrink.
        let mut larger = full;
        larger.insert("more".to_owned(), json!("more"));
        let smaller = ConfigPatch { max_polecats: Change::Remove, ..ConfigPatch::default() };
        assert!(size_of(&smaller.applied_to(&larger, &read(&larger)).unwrap()) < size_of(&larger));
    }

    #[test]
    fn version_is_that_of_the_content() {
        let config = |value: Value| serde_json::from_value::<TownConfig>(value).unwrap();
        let version = |value: Value| config(value).version();
        let known = version(json!({"b": {"x": 1, "y": [2]}, "a": 1, "max_polecats": 4}));
        assert_eq!(version(json!({"max_polecats": 4, "a": 1, "b": {"y": [2], "x": 1}})), known);
        assert_ne!(version(json!({"max_polecats": 4, "a": 1, "b": {"y": [2], "x": 2}})), known);
        assert_ne!(version(json!({"max_polecats": 5, "a": 1, "b": {"y": [2], "x": 1}})), known);
        // Frozen: a change of the digest makes every client read once more.
        assert_eq!(version(json!({})).as_str(), "44136fa355b3678a");
        assert_eq!(known.as_str().parse::<ConfigVersion>().unwrap(), known);
        assert!("".parse::<ConfigVersion>().is_err() && "a b".parse::<ConfigVersion>().is_err());
    }
}
