//! A watcher of a town: the subscription `watchTown`, as server-sent events.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

/// The most bytes of an event. The demo's are far smaller.
const MAX_EVENT: usize = 64 * 1024;

/// Watches a town until an operation ends. Returns the messages of all changes, in their order.
pub(super) async fn until_an_end(
    http: &reqwest::Client,
    (url, token): (&str, &str),
    town: &str,
    shown: impl Fn(&str),
) -> anyhow::Result<Vec<String>> {
    let address = format!("{}/trpc/gastown.watchTown", url.trim_end_matches('/'));
    let input = json!({ "townId": town }).to_string();
    let request = http.get(address).query(&[("input", input)]).bearer_auth(token).header("accept", "text/event-stream");
    let mut answer = request.send().await.context("watchTown")?;
    ensure!(answer.status().is_success(), "watchTown answered {}", answer.status());
    let (mut events, mut messages) = (Events::default(), Vec::new());
    while let Some(chunk) = answer.chunk().await.context("watchTown ended")? {
        for event in events.take(&chunk)? {
            let Some(change) = change_of(&event)? else { continue };
            let message = change["message"].as_str().context("a change without a message")?;
            shown(message);
            messages.push(message.to_owned());
            let is_over = change["change"] == "present" && change["operation"].is_null();
            if is_over || change["change"] == "ended" {
                return Ok(messages);
            }
        }
    }
    bail!("watchTown ended before the operation, after {messages:?}")
}

/// The bytes of an event that is not complete yet.
#[derive(Default)]
struct Events(Vec<u8>);

impl Events {
    /// Adds bytes, and returns the events that are complete.
    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<String>> {
        self.0.extend_from_slice(bytes);
        let mut complete = Vec::new();
        while let Some(at) = self.0.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = self.0.drain(..at + 2).collect();
            complete.push(String::from_utf8(event).context("an event is not UTF-8")?.trim().to_owned());
        }
        ensure!(self.0.len() <= MAX_EVENT, "an event is too large");
        Ok(complete)
    }
}

/// Returns the change of an event. `None`: the event is about the connection.
fn change_of(event: &str) -> anyhow::Result<Option<Value>> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    if let Some(name) = field("event: ") {
        ensure!(name != "serialized-error", "watchTown failed: {event}");
        return Ok(None);
    }
    let data = field("data: ").filter(|data| !data.is_empty());
    data.map(|data| serde_json::from_str(data).with_context(|| format!("not JSON: {data}"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_and_those_of_the_connection_are_none() {
        let mut events = Events::default();
        assert!(events.take(b"event: connected\ndata: {}\n\n\ndata: {\"change\"").unwrap().len() == 1);
        let complete = events.take(b":\"step\"}\nid: 1\n\n\n").unwrap();
        let changes: Vec<_> = complete.iter().filter_map(|event| change_of(event).unwrap()).collect();
        assert_eq!(changes, [json!({ "change": "step" })]);
        assert_eq!(change_of("event: connected\ndata: {}").unwrap(), None);
        assert!(change_of("event: serialized-error\ndata: {}").is_err());
    }
}
