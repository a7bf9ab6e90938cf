//! A parsed call of the Machines API.

use serde_json::Value;

use crate::{
    api_error::ApiError,
    route::{Call, Route},
};

/// A routed and authenticated call.
#[derive(Debug, Clone)]
pub(crate) struct ApiRequest {
    pub(crate) route: Route,
    pub(crate) query: Vec<(String, String)>,
    /// The header `fly-machine-lease-nonce`.
    pub(crate) nonce: Option<String>,
    /// A list includes deleted entries, in their state before the deletion.
    pub(crate) lists_deleted: bool,
    /// The JSON body, which is an empty object for an empty body.
    pub(crate) body: Value,
}

impl ApiRequest {
    /// Returns the first query parameter with this name.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns true if a query parameter with one of these names is true.
    pub(crate) fn flag(&self, names: &[&str]) -> bool {
        names.iter().any(|name| matches!(self.query(name), Some("true" | "1")))
    }

    /// Returns a text of the body that is not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.body.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// Returns an unsigned integer of the body.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.body.get(key)?.as_u64()
    }

    /// Returns a boolean of the body.
    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        self.body.get(key)?.as_bool()
    }

    /// Parses the body as Go's decoder does. Empty is an empty object, and an array or a scalar is an error.
    pub(crate) fn parse_body(call: Call, bytes: &[u8]) -> Result<Value, ApiError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| ApiError::invalid(format!("cannot decode the body: {error}")))?;
        match value {
            Value::Object(_) => Ok(value),
            Value::Null => Ok(Value::Object(serde_json::Map::new())),
            Value::Array(_) => Err(ApiError::ArrayBody(go_type(call))),
            _ => Err(ApiError::invalid("the body is not an object")),
        }
    }
}

/// Returns the type in the error text of Fly's decoder. Only that of `stop` has been observed.
fn go_type(call: Call) -> &'static str {
    match call {
        Call::StopMachine => "main.stopRequest",
        Call::CreateMachine => "main.createMachineRequest",
        Call::UpdateMachine => "main.updateMachineRequest",
        Call::CreateVolume => "main.createVolumeRequest",
        _ => "main.request",
    }
}
