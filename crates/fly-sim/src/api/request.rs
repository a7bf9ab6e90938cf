//! A call as the handlers see it.

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
    /// Header `fly-machine-lease-nonce`.
    pub(crate) nonce: Option<String>,
    /// A list is to show what is gone, too, as it was.
    pub(crate) lists_deleted: bool,
    /// The JSON body; an empty object where there is none.
    pub(crate) body: Value,
}

impl ApiRequest {
    /// The first query parameter of that name.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a query parameter of any of these names is true.
    pub(crate) fn flag(&self, names: &[&str]) -> bool {
        names.iter().any(|name| matches!(self.query(name), Some("true" | "1")))
    }

    /// A text field of the body that is neither absent, null nor empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.body.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// A whole number of the body.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.body.get(key)?.as_u64()
    }

    /// A boolean of the body.
    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        self.body.get(key)?.as_bool()
    }

    /// Reads the body as Go's decoder would: nothing is an empty object, an array or a scalar is an error.
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

/// The type Fly's decoder names; only that of `stop` has been seen.
fn go_type(call: Call) -> &'static str {
    match call {
        Call::StopMachine => "main.stopRequest",
        Call::CreateMachine => "main.createMachineRequest",
        Call::UpdateMachine => "main.updateMachineRequest",
        Call::CreateVolume => "main.createVolumeRequest",
        _ => "main.request",
    }
}
