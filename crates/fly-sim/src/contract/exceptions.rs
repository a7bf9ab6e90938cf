//! Where Fly's OpenAPI document is wrong, in one place, with the reason.

use serde_json::Value;

use crate::route::Call;

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

/// A deviation of the service from its document: the body is adapted before it is checked.
struct Exception {
    /// Why, and who says so; for the reader.
    #[expect(dead_code, reason = "documentation that stands beside what it explains")]
    reason: &'static str,
    applies: fn(Call, Side) -> bool,
    adapt: fn(&mut Value),
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "Go writes absent values as null (fly-go in volume create, Fly in attached_machine_id); the document \
                 knows no null",
        applies: |_, _| true,
        adapt: drop_nulls,
    },
    Exception {
        reason: "lease answers are wrapped in {status, data} (docs, fly-go); the document has them flat",
        applies: |call, side| {
            side == Side::Response && matches!(call, Call::GetLease | Call::AcquireLease | Call::ReleaseLease)
        },
        adapt: |body| {
            if let Some(data) = body.get_mut("data").map(Value::take) {
                *body = data;
            }
        },
    },
    Exception {
        reason: "the list of error codes is older than volume_placement_capacity and name_taken (newest document)",
        applies: |_, side| side == Side::Response,
        adapt: |body| {
            if body.get("error").is_some() {
                remove(body, "status");
            }
        },
    },
    Exception {
        reason: "`app_name` is what the documentation calls the field that the document calls `name`",
        applies: |call, side| call == Call::CreateApp && side == Side::Request,
        adapt: |body| remove(body, "app_name"),
    },
    Exception {
        reason: "fly-go always sends `id` when it stops a machine",
        applies: |call, side| call == Call::StopMachine && side == Side::Request,
        adapt: |body| remove(body, "id"),
    },
    Exception {
        reason: "fly-go's Kill sends the signal as a number",
        applies: |call, side| call == Call::SignalMachine && side == Side::Request,
        adapt: |body| {
            if body.get("signal").is_some_and(Value::is_number) {
                remove(body, "signal");
            }
        },
    },
    Exception {
        reason: "fly-go writes durations as nanoseconds, and autostop is a boolean as often as a text",
        applies: |_, _| true,
        adapt: drop_go_forms,
    },
    Exception {
        reason: "`cordoned` is in newer documents only",
        applies: |_, side| side == Side::Response,
        adapt: |body| remove(body, "cordoned"),
    },
];

/// Query parameters that are used in production and not in the document.
const QUERY: &[(&str, &str)] = &[
    ("kill", "fly-go's spelling of force"),
    ("force", "documented in prose for app deletion"),
    ("force_stop", "fly-go on restart"),
    ("ttl", "fly-go on lease acquisition"),
    ("wait", "fly-go on app creation"),
    ("include_leases", "newer document"),
];

/// The body as the document would have it.
pub(super) fn normalize(call: Call, side: Side, body: &Value) -> Value {
    let mut body = body.clone();
    for exception in EXCEPTIONS.iter().filter(|exception| (exception.applies)(call, side)) {
        (exception.adapt)(&mut body);
    }
    body
}

/// Whether the service takes the parameter although the document does not have it. `metadata.{key}` filters are in
/// the documentation and the newest document.
pub(super) fn accepts_query(name: &str) -> bool {
    name.starts_with("metadata.") || QUERY.iter().any(|(known, _)| *known == name)
}

/// Calls whose answer the document describes wrongly as a whole: the live keys of regions are capitalized.
pub(super) fn is_described_wrongly(call: Call, side: Side) -> bool {
    call == Call::ListRegions && side == Side::Response
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
