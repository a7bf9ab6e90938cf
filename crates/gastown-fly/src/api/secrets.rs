//! An app's secrets: values every machine of the app gets as environment, kept apart from its configuration.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Action, Call, Method, lenient};

/// The answer to [`set`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct SecretsSet {
    /// The app's counter; pass it on as `min_secrets_version`, so that no host boots from an older set.
    pub version: u64,
}

/// The answer to [`list`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Secrets {
    /// The secrets, without their values.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub secrets: Vec<SecretSeen>,
}

/// A secret as Fly shows it: never its value.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct SecretSeen {
    /// The name: a valid environment variable.
    pub name: String,
    /// Tells whether a value changed.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub digest: Option<String>,
}

/// Sets secrets, leaving the others as they are. Answer: [`SecretsSet`]. Running machines keep the old ones.
pub fn set(app: &str, values: &BTreeMap<String, SecretString>) -> Call {
    let values: Map<String, Value> =
        values.iter().map(|(name, value)| (name.clone(), json!(value.expose_secret()))).collect();
    Call::new(Action::SetSecrets, Method::Post, ["apps", app, "secrets"]).with_body(json!({ "values": values }))
}

/// Lists secrets by name. Answer: [`Secrets`].
pub fn list(app: &str) -> Call {
    Call::new(Action::ListSecrets, Method::Get, ["apps", app, "secrets"])
}
