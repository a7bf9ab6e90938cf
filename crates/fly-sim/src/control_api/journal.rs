//! The journal: calls with filters, and violations of Fly's document.

use serde_json::{Map, Value, json};

use super::{error, no_content, only};
use crate::{call_log::CallFilter, gateway::Incoming, reply::Reply, sim_state::SimState};

/// Query parameters whose value is a number or a boolean.
const TYPED: [&str; 4] = ["after", "status", "faulted", "limit"];

pub(super) fn answer(state: &SimState, method: &str, segments: &[&str], incoming: &Incoming) -> Option<Reply> {
    match (method, segments) {
        ("GET", ["calls"]) => Some(calls(state, &incoming.query)),
        ("GET", ["calls", after]) => Some(calls_after(state, after)),
        ("DELETE", ["calls"]) => Some(no_content(|| state.clear_journal())),
        (method, ["violations"]) => {
            only("GET", method, || Reply::json(200, json!({ "violations": state.violations() })))
        }
        _ => None,
    }
}

fn calls(state: &SimState, query: &[(String, String)]) -> Reply {
    let fields: Map<String, Value> = query.iter().map(|(name, value)| (name.clone(), typed(name, value))).collect();
    match serde_json::from_value(Value::Object(fields)) {
        Ok(filter) => render(state, &filter),
        Err(cause) => error(400, &cause.to_string()),
    }
}

fn typed(name: &str, value: &str) -> Value {
    let text = || Value::from(value);
    if TYPED.contains(&name) { serde_json::from_str(value).unwrap_or_else(|_| text()) } else { text() }
}

fn calls_after(state: &SimState, after: &str) -> Reply {
    match after.parse() {
        Ok(after) => render(state, &CallFilter { after, ..CallFilter::default() }),
        Err(_) => error(400, "the number of a call is expected"),
    }
}

fn render(state: &SimState, filter: &CallFilter) -> Reply {
    Reply::json(200, json!({ "calls": *state.matching_calls(filter) }))
}
