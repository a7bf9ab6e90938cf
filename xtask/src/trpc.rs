//! A client of the wire protocol, with one envelope per call.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// Longer than the control plane waits before it answers that the work continues.
const TIMEOUT: Duration = Duration::from_secs(3 * 60);

/// A client of the control plane, for one user.
pub(crate) struct Trpc {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// An error that the control plane answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Refused {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Trpc {
    pub(crate) fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self::with_http(http, url, token))
    }

    /// Creates a client that shares connections and a timeout with others.
    pub(crate) fn with_http(http: reqwest::Client, url: &str, token: &str) -> Self {
        Self { http, url: format!("{}/trpc", url.trim_end_matches('/')), token: token.to_owned() }
    }

    pub(crate) async fn query(&self, procedure: &str, input: &Value) -> anyhow::Result<Value> {
        let request = self.http.get(self.address(procedure)).query(&[("input", input.to_string())]);
        self.send(request).await.with_context(|| procedure.to_owned())
    }

    pub(crate) async fn mutate(&self, procedure: &str, input: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(self.address(procedure)).json(input);
        self.send(request).await.with_context(|| procedure.to_owned())
    }

    fn address(&self, procedure: &str) -> String {
        format!("{}/gastown.{procedure}", self.url)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.bearer_auth(&self.token).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let envelope = serde_json::from_str(&text).with_context(|| format!("{status} without JSON: {text}"))?;
        open(envelope)
    }
}

/// Returns the data in the envelope, or its error as [`Refused`].
fn open(mut envelope: Value) -> anyhow::Result<Value> {
    if let Some(result) = envelope.get_mut("result") {
        return Ok(result.get_mut("data").map_or(Value::Null, Value::take));
    }
    let error = envelope.get("error").with_context(|| format!("no envelope: {envelope}"))?;
    let text = |pointer| error.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Err(Refused { code: text("/data/code"), message: text("/message") }.into())
}

/// Returns true if the control plane answered `NOT_FOUND`.
pub(crate) fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == "NOT_FOUND")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_envelope_holds_data_or_nothing_or_an_error() {
        assert_eq!(open(json!({ "result": { "data": [1] } })).unwrap(), json!([1]));
        assert_eq!(open(json!({ "result": {} })).unwrap(), Value::Null);
        let error = json!({ "error": { "message": "gone", "code": -32004, "data": { "code": "NOT_FOUND" } } });
        let refused = open(error).unwrap_err().context("getTownStatus");
        assert_eq!(format!("{refused:#}"), "getTownStatus: NOT_FOUND: gone");
        assert!(is_not_found(&refused));
        assert!(!is_not_found(&open(json!({ "odd": 1 })).unwrap_err()));
    }

    /// Answers one request and returns its raw text.
    async fn answer_once(listener: TcpListener, body: &str) -> String {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = socket.read(&mut request).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    }

    #[tokio::test]
    async fn a_query_carries_its_input_in_the_address_and_the_token_in_a_header() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Trpc::new(&format!("http://{}/", listener.local_addr().unwrap()), "t0ken").unwrap();
        let input = json!({ "townId": "a b" });
        let (answer, request) = tokio::join!(
            client.query("getTownStatus", &input),
            answer_once(listener, r#"{"result":{"data":{"status":"running"}}}"#),
        );
        assert_eq!(answer.unwrap(), json!({ "status": "running" }));
        let line = "GET /trpc/gastown.getTownStatus?input=%7B%22townId%22%3A%22a+b%22%7D HTTP/1.1";
        assert_eq!(request.lines().next(), Some(line));
        assert!(request.contains("authorization: Bearer t0ken\r\n"), "{request}");
    }
}
