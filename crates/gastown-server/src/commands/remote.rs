//! A running server, called over its public wire with the token of a user.

use std::time::Duration;

use clap::Args;
use gastown::HttpUrl;
use gastown_domain::Invalid;
use reqwest::{Client, RequestBuilder, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// The time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for one call. A server waits 60 seconds for an operation, unless it is set otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(180);
/// The largest answer that is read.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// The address of a server and the token of a user.
#[derive(Debug, Clone, Args)]
pub struct ServerOptions {
    /// Call the server at this address instead of the database. The user is that of the token.
    #[arg(long, value_name = "URL", value_parser = server_url)]
    pub(super) server: Option<ServerUrl>,
    /// The token of a user. The variable hides it from the list of processes.
    #[arg(long, value_name = "TOKEN", env = "GASTOWN_TOKEN", hide_env_values = true)]
    pub(super) token: Option<SecretString>,
}

/// The address of a server, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// Returns the address without this last part, if it has it.
    pub(super) fn without(self, last: &str) -> Self {
        Self(self.0.strip_suffix(last).map(str::to_owned).unwrap_or(self.0))
    }

    /// Returns true if the server is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let url = url::Url::parse(&self.0).ok();
        url.is_some_and(|url| match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        })
    }
}

/// Reads an address to which paths can be appended, with https unless it is private.
pub(super) fn server_url(raw: &str) -> Result<ServerUrl, Invalid> {
    raw.parse::<HttpUrl>()?.for_paths().map(|url| ServerUrl(url.into()))
}

impl ServerOptions {
    /// Returns the server, or `None` if the database is meant.
    ///
    /// Errors: the token is missing.
    pub(super) fn remote(&self) -> anyhow::Result<Option<Remote>> {
        let Some(server) = &self.server else { return Ok(None) };
        Remote::new(server, self.token.as_ref()).map(Some)
    }
}

/// A client of one server, for one user.
pub(super) struct Remote {
    connection: Connection,
}

/// The connection to one server, with a token for it.
pub(super) struct Connection {
    http: Client,
    url: String,
    token: Option<SecretString>,
}

/// The reason why a call has no data.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// The server answered an error.
    #[error("{message} ({reason})")]
    Refused {
        /// The stable word for programs.
        reason: String,
        /// The text for people.
        message: String,
    },
    /// There is no whole answer. A change may have happened.
    #[error("the server did not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The answer is not of this service.
    #[error("the answer is not that of a gastown server (status {0})")]
    Foreign(u16),
}

impl Connection {
    /// Errors: the client cannot be set up.
    pub(super) fn new(server: &ServerUrl, token: Option<&SecretString>) -> anyhow::Result<Self> {
        Self::within(server, token, CALL_TIMEOUT)
    }

    /// Returns a connection whose calls end within this time.
    ///
    /// Errors: the client cannot be set up.
    pub(super) fn within(
        server: &ServerUrl,
        token: Option<&SecretString>,
        call_timeout: Duration,
    ) -> anyhow::Result<Self> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(call_timeout))
            .timeout(call_timeout)
            // The token is for this address only.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { http, url: server.0.clone(), token: token.cloned() })
    }

    /// Returns a request that only reads.
    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    /// Returns a request that changes something.
    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    /// Returns the status and the JSON of the answer, or `Null` if it has another form.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<(u16, Value), RemoteError> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        let mut answer = request.send().await.map_err(|error| RemoteError::NoAnswer(error.without_url()))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| RemoteError::NoAnswer(error.without_url()))? {
            body.extend_from_slice(&part);
            if body.len() > MAX_ANSWER {
                return Err(RemoteError::Foreign(status));
            }
        }
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

impl Remote {
    /// Errors: the token is missing, the client cannot be set up.
    pub(super) fn new(server: &ServerUrl, token: Option<&SecretString>) -> anyhow::Result<Self> {
        let Some(token) = token else { anyhow::bail!("a token is missing: set GASTOWN_TOKEN or --token") };
        Ok(Self { connection: Connection::new(server, Some(token))? })
    }

    /// Calls a procedure that only reads.
    pub(super) async fn query(&self, procedure: &str, input: &Value) -> Result<Value, RemoteError> {
        let request = self.connection.get(&path(procedure)).query(&[("input", input.to_string())]);
        self.send(request).await
    }

    /// Calls a procedure that changes something.
    pub(super) async fn mutate(&self, procedure: &str, input: &Value) -> Result<Value, RemoteError> {
        self.send(self.connection.post(&path(procedure)).json(input)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, RemoteError> {
        let (status, envelope) = self.connection.send(request).await?;
        opened(envelope, status)
    }
}

fn path(procedure: &str) -> String {
    format!("/trpc/gastown.{procedure}")
}

/// Returns the data in an envelope, or its error.
fn opened(mut envelope: Value, status: u16) -> Result<Value, RemoteError> {
    if let Some(data) = envelope.pointer_mut("/result") {
        return Ok(data.get_mut("data").map_or(Value::Null, Value::take));
    }
    let text = |pointer| envelope.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
    match (text("/error/data/reason"), text("/error/message")) {
        (Some(reason), Some(message)) => Err(RemoteError::Refused { reason, message }),
        _ => Err(RemoteError::Foreign(status)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn envelopes_hold_data_or_an_error() {
        assert_eq!(opened(json!({ "result": { "data": [1] } }), 200).unwrap(), json!([1]));
        assert_eq!(opened(json!({ "result": {} }), 200).unwrap(), Value::Null);
        let error = json!({ "error": { "message": "no such town", "data": { "reason": "town_not_found" } } });
        assert_eq!(opened(error, 404).unwrap_err().to_string(), "no such town (town_not_found)");
        for foreign in [Value::Null, json!({ "error": "down" }), json!([])] {
            assert!(matches!(opened(foreign, 502), Err(RemoteError::Foreign(502))));
        }
    }

    #[test]
    fn tokens_are_sent_by_https_or_to_this_machine_only() {
        for url in ["https://towns.example.com/", "http://127.0.0.1:8080", "http://gastown.internal:8080"] {
            assert!(server_url(url).is_ok(), "{url}");
        }
        for url in ["http://towns.example.com", "towns.example.com", "https://u:p@towns.example.com", "https://a/?b=1"]
        {
            assert!(server_url(url).is_err(), "{url}");
        }
    }
}
