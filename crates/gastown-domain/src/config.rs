//! The configuration of a town: `{ rigs, models, max_polecats, idle_stop_minutes }`. Unknown keys are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::idle::stored_minutes;
use crate::{Branch, IdleMinutes, RepoUrl, RigName};

/// The column `gastown_towns.config`. Unknown keys are kept unchanged (FM-47).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TownConfig {
    /// The first rigs, as given at creation. The current rigs are in `gastown_rigs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rigs: Vec<FirstRig>,
    /// The models to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Models>,
    /// The maximum number of workers (polecats) that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_polecats: Option<u32>,
    /// The minutes without use after which the running town is stopped, 5 to 10080. Without it, the town is never stopped
    /// unasked.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "stored_minutes")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>"))]
    pub idle_stop_minutes: Option<IdleMinutes>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A rig that is created together with its town.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FirstRig {
    /// The name of the rig.
    #[serde(alias = "name", alias = "rig_name")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub rig_name: RigName,
    /// The repository to clone.
    #[serde(alias = "repo_url")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub repo_url: RepoUrl,
    /// The branch, by default that of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub branch: Option<Branch>,
}

/// The models to use, by role or as a list in order of preference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Models {
    /// A map from role to model, such as `{"mayor": "…"}`.
    ByRole(BTreeMap<String, String>),
    /// A list in order of preference.
    Preferred(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_survive_a_round_trip() {
        let given = serde_json::json!({
            "rigs": [{"rigName": "app", "repoUrl": "https://github.com/a/b", "branch": "main"}],
            "models": {"mayor": "large"},
            "max_polecats": 4,
            "idle_stop_minutes": 30,
            "size": "small",
            "nested": {"kept": [1, null]},
        });
        let config: TownConfig = serde_json::from_value(given.clone()).unwrap();
        assert_eq!(config.max_polecats, Some(4));
        assert_eq!(serde_json::to_value(&config).unwrap(), given);
    }

    #[test]
    fn stored_setting_that_is_not_valid_is_off() {
        for stored in
            [serde_json::json!(4), serde_json::json!(10_081), serde_json::json!("30"), serde_json::json!(null)]
        {
            let config: TownConfig = serde_json::from_value(serde_json::json!({"idle_stop_minutes": stored})).unwrap();
            assert_eq!(config, TownConfig::default(), "{stored}");
        }
    }

    #[test]
    fn first_rig_is_validated_like_any_rig() {
        for rig in [
            serde_json::json!({"rigName": "a-b", "repoUrl": "https://github.com/a/b"}),
            serde_json::json!({"rigName": "ab", "repoUrl": "file:///x"}),
            serde_json::json!({"rigName": "ab", "repoUrl": "https://github.com/a/b", "branch": "-b"}),
        ] {
            assert!(serde_json::from_value::<FirstRig>(rig.clone()).is_err(), "{rig}");
        }
    }
}
