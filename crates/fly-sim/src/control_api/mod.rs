//! The simulator's own API under `/_sim`, for tests in other processes. It is not part of Fly.
//!
//! `spec/control-openapi.json` describes every call, and the tests check every answer against it.

mod clock;
mod entities;
mod faults;
mod journal;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{gateway::Incoming, reply::Reply, sim_state::SimState, world::World};

/// The document that describes this API.
const SPEC: &str = include_str!("../../spec/control-openapi.json");

/// Answers a call of the control API. `path` is below `/_sim`.
pub(crate) fn answer(state: &SimState, path: &str, incoming: &Incoming) -> Reply {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (method, body) = (incoming.method.as_str(), incoming.body.as_ref());
    let found = match segments.as_slice() {
        ["health"] => only("GET", method, || Reply::json(200, json!({ "status": "ok" }))),
        ["openapi.json"] => only("GET", method, spec),
        ["world"] => only("GET", method, || Reply::json(200, entities::world(state))),
        ["clock"] => clock::answer(state, method, body),
        ["state"] => match method {
            "GET" => Some(Reply::json(200, state.world.read(World::store))),
            "PUT" => Some(with_body(body, |document| match state.restore(document) {
                Ok(()) => Reply::empty(204),
                Err(cause) => error(400, &cause.to_string()),
            })),
            _ => None,
        },
        ["reset"] => only("POST", method, || no_content(|| state.reset())),
        ["seed"] => only("POST", method, || with_body(body, |seed| no_content_or(state.seed(&seed)))),
        ["calls", ..] | ["violations"] => journal::answer(state, method, &segments, incoming),
        ["faults" | "capacity", ..] | ["scenarios" | "scenario"] => faults::answer(state, method, &segments, body),
        ["apps" | "machines" | "volumes", ..] => entities::answer(state, method, &segments, body),
        _ => None,
    };
    found.unwrap_or_else(|| error(404, &format!("the simulator has no call {method} /_sim{path}")))
}

/// Answers a call with one method.
fn only(wanted: &str, method: &str, answer: impl FnOnce() -> Reply) -> Option<Reply> {
    (wanted == method).then(answer)
}

fn spec() -> Reply {
    match serde_json::from_str(SPEC) {
        Ok(spec) => Reply::json(200, spec),
        Err(cause) => error(500, &cause.to_string()),
    }
}

/// Parses the body and answers the call, or reports why the body is invalid.
fn with_body<Body: DeserializeOwned>(body: &[u8], answer: impl FnOnce(Body) -> Reply) -> Reply {
    let body = if body.is_empty() { b"{}" } else { body };
    match serde_json::from_slice(body) {
        Ok(body) => answer(body),
        Err(cause) => error(400, &cause.to_string()),
    }
}

fn no_content(action: impl FnOnce()) -> Reply {
    action();
    Reply::empty(204)
}

fn no_content_or(result: Result<(), impl std::fmt::Display>) -> Reply {
    match result {
        Ok(()) => Reply::empty(204),
        Err(cause) => error(422, &cause.to_string()),
    }
}

fn found(found: bool) -> Reply {
    if found { Reply::empty(204) } else { error(404, "not found") }
}

fn error(status: u16, text: &str) -> Reply {
    Reply::json(status, Value::from_iter([("error", text)]))
}
