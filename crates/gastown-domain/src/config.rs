//! A town's configuration: `{ rigs, models, max_polecats }`, with unknown keys kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Branch, RepoUrl, RigName};

/// The column `gastown_towns.config`. Unknown keys are kept as they came (FM-47).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TownConfig {
    /// The town's first rigs, as given when it was created. What a town has now is in its rigs, not here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rigs: Vec<FirstRig>,
    /// Which model does what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Models>,
    /// How many workers (polecats) may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_polecats: Option<u32>,
    /// Keys this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of a town's first rigs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstRig {
    /// Its name.
    #[serde(alias = "name", alias = "rig_name")]
    pub rig_name: RigName,
    /// What is cloned.
    #[serde(alias = "repo_url")]
    pub repo_url: RepoUrl,
    /// The branch; `main` where absent.
    #[serde(default = "Branch::main")]
    pub branch: Branch,
}

/// Which model does what: by role, or as a list in order of preference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Models {
    /// Role to model, such as `{"mayor": "…"}`.
    ByRole(BTreeMap<String, String>),
    /// In order of preference.
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
            "size": "small",
            "nested": {"kept": [1, null]},
        });
        let config: TownConfig = serde_json::from_value(given.clone()).unwrap();
        assert_eq!(config.max_polecats, Some(4));
        assert_eq!(serde_json::to_value(&config).unwrap(), given);
    }

    #[test]
    fn a_first_rig_keeps_the_rules_of_a_rig() {
        for rig in [
            serde_json::json!({"rigName": "a-b", "repoUrl": "https://github.com/a/b"}),
            serde_json::json!({"rigName": "ab", "repoUrl": "file:///x"}),
            serde_json::json!({"rigName": "ab", "repoUrl": "https://github.com/a/b", "branch": "-b"}),
        ] {
            assert!(serde_json::from_value::<FirstRig>(rig.clone()).is_err(), "{rig}");
        }
    }
}
