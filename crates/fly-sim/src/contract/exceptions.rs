//! The known errors of Fly's OpenAPI document, with the reason for each exception.

use serde_json::Value;

use crate::route::Call;

/// The direction of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A body from the client.
    Request,
    /// A body to the client.
    Response,
}

/// A deviation of the service from its document. The body is normalized before it is checked.
struct Exception {
    /// The deviation and its source, for readers of this file.
    #[expect(dead_code, reason = "the text documents the exception")]
    reason: &'static str,
    applies: fn(Call, Side) -> bool,
    normalize: fn(&mut Value),
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "Go writes absent values as null (fly-go in volume create, Fly in attached_machine_id); the document \
                 has no null",
        applies: |_, _| true,
        normalize: drop_nulls,
    },
    Exception {
        reason: "lease answers are wrapped in {status, data} (docs, fly-go); in the document they are flat",
        applies: |call, side| {
            side == Side::Response && matches!(call, Call::GetLease | Call::AcquireLease | Call::ReleaseLease)
        },
        normalize: |body| {
            if let Some(data) = body.get_mut("data").map(Value::take) {
                *body = data;
            }
        },
    },
    Exception {
        reason: "the list of error codes lacks volume_placement_capacity and name_taken (newest document)",
        applies: |_, side| side == Side::Response,
        normalize: |body| {
            if body.get("error").is_some() {
                remove(body, "status");
            }
        },
    },
    Exception {
        reason: "the documentation calls the field `app_name`, the document calls it `name`",
        applies: |call, side| call == Call::CreateApp && side == Side::Request,
        normalize: |body| remove(body, "app_name"),
    },
    Exception {
        reason: "fly-go sends `id` when it stops a machine",
        applies: |call, side| call == Call::StopMachine && side == Side::Request,
        normalize: |body| remove(body, "id"),
    },
    Exception {
        reason: "fly-go's Kill sends the signal as a number",
        applies: |call, side| call == Call::SignalMachine && side == Side::Request,
        normalize: |body| {
            if body.get("signal").is_some_and(Value::is_number) {
                remove(body, "signal");
            }
        },
    },
    Exception {
        reason: "fly-go writes durations as nanoseconds, and autostop may be a boolean or a text",
        applies: |_, _| true,
        normalize: drop_go_forms,
    },
    Exception {
        reason: "`idempotency_key` is in the newest document; fly-go sends `app_role_id` and `machines_only`",
        applies: |_, side| side == Side::Request,
        normalize: |body| ["idempotency_key", "app_role_id", "machines_only"].iter().for_each(|key| remove(body, key)),
    },
    Exception {
        reason: "Go writes bytes in base64 (fly-go `flaps/flaps_secretkeys.go`); the document has lists of numbers",
        applies: |call, _| call.operation().is_some_and(|(_, path)| path.contains("/secretkeys")),
        normalize: drop_base64,
    },
];

/// Query parameters that are used in production and missing from the document.
const QUERY: &[(&str, &str)] = &[
    ("kill", "fly-go's spelling of force"),
    ("force", "documented in prose for app deletion"),
    ("force_stop", "fly-go on restart"),
    ("ttl", "fly-go on lease acquisition"),
    ("wait", "fly-go on app creation"),
    ("include_leases", "newer document"),
];

/// Returns the body in the form that the document describes.
pub(super) fn normalize(call: Call, side: Side, body: &Value) -> Value {
    let mut body = body.clone();
    for exception in EXCEPTIONS.iter().filter(|exception| (exception.applies)(call, side)) {
        (exception.normalize)(&mut body);
    }
    body
}

/// Returns true for a query parameter that the service accepts although the document lacks it.
///
/// Filters by `metadata.{key}` are in the documentation and in the newest document.
pub(super) fn accepts_query(name: &str) -> bool {
    name.starts_with("metadata.") || QUERY.iter().any(|(known, _)| *known == name)
}

fn remove(body: &mut Value, key: &str) {
    if let Value::Object(fields) = body {
        fields.remove(key);
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Removes bytes that are texts, in a key or in a list of keys.
fn drop_base64(value: &mut Value) {
    const BYTES: [&str; 6] = ["value", "plaintext", "ciphertext", "associated_data", "signature", "public_key"];
    match value {
        Value::Object(fields) => {
            fields.retain(|key, value| !(BYTES.contains(&key.as_str()) && value.is_string()));
            fields.values_mut().for_each(drop_base64);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_base64),
        _ => {}
    }
}

fn drop_go_forms(value: &mut Value) {
    const DURATIONS: [&str; 4] = ["timeout", "interval", "grace_period", "autostop"];
    match value {
        Value::Object(fields) => {
            let config = fields.get_mut("config");
            for part in config.into_iter().filter_map(Value::as_object_mut).flat_map(|config| config.values_mut()) {
                drop_in(part, &DURATIONS);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(drop_go_forms),
        _ => {}
    }
}

/// Removes numbers and booleans under these keys, at any depth.
fn drop_in(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, value| !(keys.contains(&key.as_str()) && (value.is_number() || value.is_boolean())));
            fields.values_mut().for_each(|value| drop_in(value, keys));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| drop_in(value, keys)),
        _ => {}
    }
}
