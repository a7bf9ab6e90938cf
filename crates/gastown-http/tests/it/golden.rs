//! The recorded wire: the recordings, replaying one, and comparing the answers.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    declared_reasons,
    server::{Server, client},
};

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Recording {
    pub(crate) id: String,
    pub(crate) replay: String,
    pub(crate) request: Request,
    pub(crate) response: Response,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
}

/// Returns every recording, in the recorded order.
pub(crate) fn records() -> Vec<Recording> {
    include_str!("../golden/trpc.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn record(id: &str) -> Recording {
    records().into_iter().find(|record| record.id == id).unwrap_or_else(|| panic!("no record {id}"))
}

/// An answer: status, headers and body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

/// Sends a recorded request. `translate` replaces recorded tokens and ids by ours.
pub(crate) async fn send(server: &Server, request: &Request, translate: impl Fn(&str) -> String) -> Answer {
    let method = Method::from_bytes(request.method.as_bytes()).unwrap();
    let mut sending = client().request(method, server.url(&translate(&request.url)));
    for (name, value) in &request.headers {
        if name != "content-length" {
            sending = sending.header(name, translate(value));
        }
    }
    if let Some(body) = &request.body {
        sending = sending.body(translate(body));
    }
    let response = sending.send().await.unwrap();
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Answer { status, headers, body: response.text().await.unwrap() }
}

/// Compares status and headers.
pub(crate) fn compare_head(record: &Recording, got: &Answer) {
    let id = &record.id;
    assert_eq!(got.status, record.response.status, "{id}: {got:?}");
    for name in ["allow", "vary"] {
        assert_eq!(got.headers.get(name), record.response.headers.get(name), "{id}: {name}");
    }
    if record.request.method != "HEAD" {
        // Errors of the whole request are text/plain in the recording, because of the recorder's platform.
        assert_eq!(got.headers.get("content-type").map(String::as_str), Some("application/json"), "{id}");
    }
}

/// Compares everything. A stream is compared by the envelopes that it encodes.
pub(crate) fn compare(record: &Recording, got: &Answer, free_message: bool) {
    compare_head(record, got);
    let want = record.response.body.as_deref().unwrap_or_default();
    let (mut got, mut want) = (meaning(&got.body), meaning(want));
    declared_reasons::check(&got);
    drop_reasons(&mut got);
    if free_message {
        drop_messages(&mut got);
        drop_messages(&mut want);
    }
    assert_eq!(got, want, "{}", record.id);
}

/// Returns the envelope or envelopes of a body. An empty body is `null`.
pub(crate) fn meaning(body: &str) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    if body.ends_with('\n') {
        return Value::Object(read_stream(body).into_iter().collect());
    }
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body:?}"))
}

/// Removes the members of errors that this service adds to those of the recordings.
pub(crate) fn drop_reasons(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_reasons),
        Value::Object(members) => {
            if let Some(Value::Object(error)) = members.get_mut("error") {
                let Some(Value::Object(data)) = error.get_mut("data") else { panic!("no data: {error:?}") };
                assert!(data.remove("reason").is_some_and(|reason| reason.is_string()), "{data:?}");
            }
            members.values_mut().for_each(drop_reasons);
        }
        _ => {}
    }
}

/// Removes the messages of validators and parsers, also in structured form.
pub(crate) fn drop_messages(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_messages),
        Value::Object(members) => {
            if let Some(Value::Object(error)) = members.get_mut("error") {
                assert!(error.remove("message").is_some_and(|message| message.is_string()), "{error:?}");
                if let Some(Value::Object(data)) = error.get_mut("data") {
                    data.remove("zodError");
                    data.remove("issues");
                }
            }
            members.values_mut().for_each(drop_messages);
        }
        _ => {}
    }
}

/// Reads a stream batch as the client does. Returns one envelope for each call.
pub(crate) fn read_stream(body: &str) -> BTreeMap<String, Value> {
    assert!(body.ends_with('\n'), "the client drops an unfinished line: {body:?}");
    let mut lines = body.lines().map(|line| serde_json::from_str::<Value>(line.trim_start()).unwrap());
    let head = lines.next().unwrap();
    let chunks: BTreeMap<u64, Value> = lines
        .map(|chunk| {
            assert_eq!(chunk[1], 0, "status of {chunk}");
            (chunk[0].as_u64().unwrap(), chunk[2].clone())
        })
        .collect();
    let resolved = |encoded: &Value| resolve(encoded, &chunks).unwrap();
    head.as_object().unwrap().iter().map(|(index, encoded)| (index.clone(), resolved(encoded))).collect()
}

/// `None` is `undefined`.
fn resolve(encoded: &Value, chunks: &BTreeMap<u64, Value>) -> Option<Value> {
    let parts = encoded.as_array().unwrap();
    let mut value = parts[0].as_array().unwrap().first()?.clone();
    for definition in &parts[1..] {
        let chunk = &chunks[&definition[2].as_u64().unwrap()];
        match (definition[0].as_str(), resolve(chunk, chunks)) {
            (None, inner) => return inner,
            (Some(key), Some(inner)) => value[key] = inner,
            (Some(key), None) => drop(value.as_object_mut().unwrap().remove(key)),
        }
    }
    Some(value)
}
