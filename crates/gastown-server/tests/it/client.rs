//! A small tRPC client on a real socket.

use std::sync::LazyLock;
use std::time::Duration;

use gastown_http::schema::{Wire, wire};
use serde_json::{Value, json};

/// Procedures that only read.
const QUERIES: [&str; 7] =
    ["getRig", "getTownStatus", "listEvents", "listRegions", "listTowns", "watchTown", "watchTowns"];

/// An error envelope. Its parts were checked against each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) status: u16,
    pub(crate) message: String,
    /// The member `reason` of `data`. The procedure declares it.
    pub(crate) reason: String,
    /// The member `data`.
    pub(crate) data: Value,
}

/// The description of the wire.
pub(crate) static WIRE: LazyLock<Wire> = LazyLock::new(wire);

/// The client of all tests, because its creation is expensive. It keeps no connections, which would belong to the runtime
/// of one test.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(60));
    client.build().unwrap()
});

pub(crate) fn http() -> &'static reqwest::Client {
    &CLIENT
}

/// Makes a call with a bearer token, or without one if it is empty.
pub(crate) async fn call(url: &str, token: &str, procedure: &str, input: Value) -> Result<Value, Refusal> {
    let header = (!token.is_empty()).then(|| ("authorization", format!("Bearer {token}")));
    call_with(url, header, procedure, input).await
}

/// Makes a call with the key of a sandbox.
pub(crate) async fn call_home(url: &str, key: &str, procedure: &str, input: Value) -> Result<Value, Refusal> {
    call_with(url, Some(("x-internal-api-key", key.to_owned())), procedure, input).await
}

/// Makes a call with this header of credentials.
pub(crate) async fn call_with(
    url: &str,
    header: Option<(&str, String)>,
    procedure: &str,
    input: Value,
) -> Result<Value, Refusal> {
    let path = format!("gastown.{procedure}");
    let url = format!("{url}/trpc/{path}");
    let request = if QUERIES.contains(&procedure) {
        http().get(url).query(&[("input", input.to_string())])
    } else {
        http().post(url).json(&input)
    };
    let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer = request.send().await.unwrap();
    let (status, envelope): (u16, Value) = if answer.headers()["content-type"] == "text/event-stream" {
        first_event(answer).await
    } else {
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    if status == 200 {
        return Ok(envelope.pointer("/result/data").unwrap_or_else(|| panic!("no data: {envelope}")).clone());
    }
    let error = &envelope["error"];
    assert_eq!(error["data"]["httpStatus"], json!(status), "{envelope}");
    assert_eq!(error["data"]["path"], json!(path), "{envelope}");
    let reason = error["data"]["reason"].as_str().unwrap();
    assert!(WIRE.declares(Some(&path), reason), "{path} does not declare {reason}: {envelope}");
    Err(Refusal {
        code: error["data"]["code"].as_str().unwrap().to_owned(),
        status,
        message: error["message"].as_str().unwrap().to_owned(),
        reason: reason.to_owned(),
        data: error["data"].clone(),
    })
}

/// Returns the first value or the error of a subscription as the envelope of a query.
async fn first_event(mut answer: reqwest::Response) -> (u16, Value) {
    let mut text = String::new();
    loop {
        for event in text.split("\n\n\n").filter(|event| !event.starts_with("event: connected")) {
            let mut lines = event.lines();
            let first = lines.next().unwrap_or_default();
            if first == "event: serialized-error" {
                let error: Value = serde_json::from_str(lines.next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
                let status = error["data"]["httpStatus"].as_u64().unwrap();
                return (u16::try_from(status).unwrap(), json!({ "error": error }));
            }
            if let Some(data) = first.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).unwrap();
                return (200, json!({"result": {"data": data}}));
            }
        }
        let part = answer.chunk().await.unwrap().expect("the stream ended without a value");
        text.push_str(std::str::from_utf8(&part).unwrap());
    }
}
