//! A machine's metadata: tags that can be read and set without a new version or a reboot.

use serde_json::json;

use super::{Action, Call, Method};

/// Reads all tags. Answer: a map of texts.
pub fn get(app: &str, machine: &str) -> Call {
    Call::new(Action::GetMetadata, Method::Get, ["apps", app, "machines", machine, "metadata"])
}

/// Sets one tag. Answer: 204. A later update of the machine overwrites it with its own copy.
pub fn set(app: &str, machine: &str, key: &str, value: &str) -> Call {
    Call::new(Action::SetMetadata, Method::Post, ["apps", app, "machines", machine, "metadata", key])
        .with_body(json!({ "value": value }))
}
