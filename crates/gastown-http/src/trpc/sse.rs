//! Server-sent events: the form of a subscription's answer.
//!
//! The format is that of `@trpc/server` 11. Each event has a line with data, because an event without one is not delivered.

use std::time::Duration;

use serde_json::json;

use super::{error::CallError, router::Written};

/// A value of a subscription, with the id after which a client resumes.
pub struct Tracked<O> {
    /// The id: not empty, and without NUL, CR and LF. `None`: a client cannot resume after this value.
    pub id: Option<String>,
    /// The value.
    pub value: O,
}

impl<O> Tracked<O> {
    /// Returns a value with an id.
    pub fn new(id: String, value: O) -> Self {
        Self { id: Some(id), value }
    }

    /// Returns a value without an id.
    pub fn untracked(value: O) -> Self {
        Self { id: None, value }
    }
}

/// The text of a keep-alive.
pub(super) const PING: &str = "event: ping\ndata: \n\n\n";
/// The text of the regular end. The client does not reconnect.
pub(super) const RETURN: &str = "event: return\ndata: \n\n\n";

/// Returns the first event, with options for the client.
pub(super) fn connected(reconnect_after: Option<Duration>) -> String {
    let options =
        reconnect_after.map_or_else(|| json!({}), |silence| json!({"reconnectAfterInactivityMs": silence.as_millis()}));
    format!("event: connected\ndata: {options}\n\n\n")
}

/// Returns the event of an error, which ends the subscription.
pub(super) fn error(error: &CallError, path: &str) -> String {
    format!("event: serialized-error\ndata: {}\n\n\n", error.shape(Some(path)))
}

/// Writes the values of one subscription. It keeps the last id.
#[derive(Default)]
pub(super) struct Values {
    last_id: Option<String>,
}

impl Values {
    /// Returns the event of a value. A value without an id must not change the id that the client keeps.
    pub(super) fn write(&mut self, id: Option<String>, value: &Written) -> String {
        let data = match value {
            Written::Json(data) => data,
            Written::Undefined => "",
        };
        match (id.filter(|id| is_valid(id)), &self.last_id) {
            (Some(id), _) => {
                let text = format!("data: {data}\nid: {id}\n\n\n");
                self.last_id = Some(id);
                text
            }
            (None, Some(last)) => format!("data: {data}\nid: \n\n\nevent: restore-id\ndata: \nid: {last}\n\n\n"),
            (None, None) => format!("data: {data}\n\n\n"),
        }
    }
}

fn is_valid(id: &str) -> bool {
    !id.is_empty() && !id.contains(['\0', '\r', '\n'])
}
