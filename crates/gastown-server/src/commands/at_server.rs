//! The registry behind the operators' API of a running server.

mod rollouts;

use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use gastown_domain::Invalid;
use gastown_domain::ports::{EventFilter, TownFilter};
use gastown_domain::{OperationId, TownId};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::actor::actor;
use super::database;
use super::remote::{Connection, RemoteError, ServerUrl, server_url};
use crate::operator_access::{AccessError, InDatabase, OperatorAccess, TownRequest, WhichOperations};
use crate::reports::{
    AcceptedRequest, Diagnosis, EventList, OperationEnd, OperationList, Readable, Retry, Survey, TownList, TownReport,
    plain,
};
use crate::settings_source::Source;

/// The path of the operators' API.
const API: &str = "/console/api/v1";
/// The path of the console, which an address may end with.
const CONSOLE: &str = "/console";
/// The tries of a read, and the pause between them.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// The address of the console of a server, and the token of an operator.
#[derive(Debug, Clone, Args)]
pub struct OperatorServer {
    /// Call the operators' API of a server instead of the database. The address is that of its console (`CONSOLE_LISTEN`).
    #[arg(long, value_name = "URL", value_parser = console_url)]
    server: Option<ServerUrl>,
    /// The token of an operator (`CONSOLE_TOKEN` or `CONSOLE_TOKENS`). The variable hides it from the list of processes.
    #[arg(long, value_name = "TOKEN", env = "GASTOWN_OPERATOR_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
}

/// Reads the address of a console, with or without its path.
fn console_url(raw: &str) -> Result<ServerUrl, Invalid> {
    server_url(raw).map(|url| url.without(CONSOLE))
}

impl OperatorServer {
    /// Returns the server, or `None` if the database is meant.
    ///
    /// Errors: the token is missing, or is that of a user.
    pub(super) fn remote(&self, source: &Source) -> anyhow::Result<Option<AtServer>> {
        let Some(server) = &self.server else { return Ok(None) };
        match &self.token {
            None if source.get("GASTOWN_TOKEN").is_some() => bail!(
                "an operator's token is missing: set GASTOWN_OPERATOR_TOKEN. GASTOWN_TOKEN is that of a user, and was not sent"
            ),
            // Only the console of `gastown dev` needs none.
            None if !server.is_loopback() => {
                bail!("an operator's token is missing: set GASTOWN_OPERATOR_TOKEN or --token")
            }
            Some(token) if is_of_user(token) => {
                bail!("GASTOWN_OPERATOR_TOKEN is the token of a user, and was not sent: set that of an operator")
            }
            Some(_) | None => {}
        }
        Ok(Some(AtServer { connection: Connection::new(server, self.token.as_ref())?, pause: PAUSE }))
    }

    /// Returns the access that is meant.
    ///
    /// Errors: as [`Self::remote`], and those of the database.
    pub(super) async fn access(&self, source: &Source) -> anyhow::Result<Box<dyn OperatorAccess>> {
        match self.remote(source)? {
            Some(server) => Ok(Box::new(server)),
            None => Ok(Box::new(InDatabase::new(database::open(source).await?, actor(source)))),
        }
    }
}

/// Returns true for a signed token of the host application, which no token of an operator looks like.
fn is_of_user(token: &SecretString) -> bool {
    let parts: Vec<_> = token.expose_secret().split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty()) && token.expose_secret().starts_with("ey")
}

/// A registry behind the operators' API.
pub(super) struct AtServer {
    connection: Connection,
    /// The pause before a read is repeated.
    pause: Duration,
}

impl AtServer {
    async fn read<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, AccessError> {
        let mut tries = 1;
        loop {
            let request = self.connection.get(&format!("{API}{path}")).query(query);
            let answered = self.connection.send(request).await;
            if tries == TRIES || !is_passing(&answered) {
                let (status, answer) = answered.map_err(failed)?;
                return opened(status, answer);
            }
            tokio::time::sleep(self.pause).await;
            tries += 1;
        }
    }

    fn change(&self, town: TownId, action: &str, body: &Value) -> RequestBuilder {
        self.connection.post(&format!("{API}/towns/{town}/{action}")).json(body)
    }

    /// Returns the orphans, with the verdicts under this grace.
    pub(super) async fn orphans(&self, grace: Option<u64>) -> Result<Survey, AccessError> {
        let grace = grace.map(|seconds| ("grace", seconds.to_string()));
        self.read("/orphans", &grace.into_iter().collect::<Vec<_>>()).await
    }

    /// Returns what the server finds about itself.
    pub(super) async fn diagnosis(&self) -> Result<Diagnosis, AccessError> {
        self.read("/doctor", &[]).await
    }

    /// Returns true if an operation whose answer was lost is in flight or has ended (FM-46).
    async fn is_accepted(&self, town: TownId, operation: OperationId) -> Result<bool, AccessError> {
        let report = self.town(town).await?;
        let in_flight = report.operation.as_ref().and_then(Readable::read);
        if in_flight.is_some_and(|held| held.operation.operation_id == operation) {
            return Ok(true);
        }
        Ok(self.end_of(operation).await?.is_some_and(|end| end.ended))
    }
}

#[async_trait]
impl OperatorAccess for AtServer {
    async fn towns(&self, filter: &TownFilter, limit: u32) -> Result<TownList, AccessError> {
        let TownFilter { owner, name, status, health, image, after } = filter;
        let position = after.as_ref();
        let query = given([
            ("user", owner.as_ref().map(ToString::to_string)),
            ("name", name.as_ref().map(ToString::to_string)),
            ("status", status.map(|status| status.to_string())),
            ("health", health.map(|health| health.as_str().to_owned())),
            ("image", image.clone()),
            ("after_user", position.map(|position| position.owner.to_string())),
            ("after_name", position.map(|position| position.name.to_string())),
            ("after", position.map(|position| position.town.to_string())),
            ("limit", Some(limit.to_string())),
        ]);
        self.read("/towns", &query).await
    }

    async fn town(&self, town: TownId) -> Result<TownReport, AccessError> {
        self.read(&format!("/towns/{town}"), &[]).await
    }

    async fn operations(
        &self,
        which: WhichOperations,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<OperationList, AccessError> {
        let query = [("which", which.as_str().to_owned()), ("since", exact(since)), ("limit", limit.to_string())];
        self.read("/operations", &query).await
    }

    async fn events(&self, filter: &EventFilter, limit: u32) -> Result<EventList, AccessError> {
        let EventFilter { town, owner, actor, action, failed, since, until } = filter;
        let query = given([
            ("town", town.map(|town| town.to_string())),
            ("user", owner.as_ref().map(ToString::to_string)),
            ("actor", actor.clone()),
            ("action", action.clone()),
            ("failed", failed.then(|| "true".to_owned())),
            ("since", since.map(exact)),
            ("until", until.map(exact)),
            ("limit", Some(limit.to_string())),
        ]);
        self.read("/events", &query).await
    }

    async fn request(
        &self,
        town: TownId,
        request: TownRequest,
        operation: OperationId,
    ) -> Result<OperationId, AccessError> {
        let wanted = self.change(town, request.as_str(), &json!({ "operationId": operation }));
        match self.connection.send(wanted).await {
            Ok((status, answer)) => Ok(opened::<AcceptedRequest>(status, answer)?.operation_id),
            Err(error @ RemoteError::NoAnswer(_)) => match self.is_accepted(town, operation).await {
                Ok(true) => Ok(operation),
                Ok(false) | Err(_) => Err(failed(error)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    async fn retry(&self, town: TownId) -> Result<Retry, AccessError> {
        let (status, answer) = self.connection.send(self.change(town, "retry", &json!({}))).await.map_err(failed)?;
        opened(status, answer)
    }

    async fn end_of(&self, operation: OperationId) -> Result<Option<OperationEnd>, AccessError> {
        match self.read(&format!("/operations/{operation}"), &[]).await {
            Err(AccessError::Refused { reason, .. }) if reason == "no_such_operation" => Ok(None),
            answered => answered.map(Some),
        }
    }
}

/// Returns true if a repeated read may be answered: a server restarts, or is busy.
fn is_passing(answered: &Result<(u16, Value), RemoteError>) -> bool {
    match answered {
        Ok((status, _)) => *status == 503,
        Err(RemoteError::NoAnswer(cause)) => !cause.is_timeout(),
        Err(RemoteError::Refused { .. } | RemoteError::Foreign(_)) => false,
    }
}

/// Returns the fields that have a value.
fn given<const N: usize>(fields: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Returns the report in an answer, or its error.
fn opened<T: DeserializeOwned>(status: u16, answer: Value) -> Result<T, AccessError> {
    let text = |pointer| answer.pointer(pointer).and_then(Value::as_str).map(plain);
    let error = (text("/error/reason"), text("/error/message"));
    match error {
        (Some(reason), Some(message)) if reason == "no_such_town" => {
            let town = message.strip_prefix("no such town: ").unwrap_or(&message);
            Err(AccessError::NoSuchTown(town.to_owned()))
        }
        (Some(reason), Some(message)) => Err(AccessError::Refused { reason, message }),
        _ if status == 200 => serde_json::from_value(answer).map_err(|_| foreign(status)),
        _ => Err(foreign(status)),
    }
}

fn failed(error: RemoteError) -> AccessError {
    match error {
        RemoteError::Foreign(status) => foreign(status),
        RemoteError::NoAnswer(_) | RemoteError::Refused { .. } => AccessError::Server(error.into()),
    }
}

fn foreign(status: u16) -> AccessError {
    let text = format!(
        "the answer is not that of an operators' API (status {status}): give the address of the server's console \
         (CONSOLE_LISTEN), not that of its users"
    );
    AccessError::Server(text.into())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// The reaction of a server to one connection.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        Cuts,
        CutsHalfway,
        Answers(u16, &'static str),
        Nothing,
    }

    const LISTS: Does = Does::Answers(200, r#"{"towns":[],"more":false}"#);
    const BUSY: Does = Does::Answers(503, r#"{"error":{"reason":"busy","message":"try again"}}"#);

    const REFUSES: Does = Does::Answers(401, r#"{"error":{"reason":"token_wrong","message":"no"}}"#);

    /// Lists the towns at a server that does this with one connection after the other. Returns the number of its connections.
    async fn listed(script: &'static [Does]) -> (Result<TownList, AccessError>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = server_url(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let (seen, mut calls) = mpsc::unbounded_channel();
        let serving = tokio::spawn(async move {
            let mut held = Vec::new();
            for does in script {
                let (mut socket, _) = listener.accept().await.unwrap();
                seen.send(()).unwrap();
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await.unwrap();
                let (status, text) = match does {
                    Does::Cuts => continue,
                    Does::CutsHalfway => (200, "{\"towns\":"),
                    Does::Answers(status, text) => (*status, *text),
                    Does::Nothing => {
                        held.push(socket);
                        continue;
                    }
                };
                let more = if matches!(does, Does::CutsHalfway) { 9 } else { 0 };
                let length = text.len() + more;
                let start = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                socket.write_all((start + text).as_bytes()).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let connection = Connection::within(&url, None, Duration::from_millis(500)).unwrap();
        let server = AtServer { connection, pause: Duration::from_millis(1) };
        let answer = server.towns(&TownFilter::default(), 1).await;
        serving.abort();
        let mut count = 0;
        while calls.try_recv().is_ok() {
            count += 1;
        }
        (answer, count)
    }

    #[tokio::test]
    async fn read_is_repeated_after_what_passes() {
        for script in [&[Does::Cuts, LISTS][..], &[Does::CutsHalfway, LISTS], &[BUSY, LISTS]] {
            assert!(matches!(listed(script).await, (Ok(_), 2)), "{script:?}");
        }
        assert!(matches!(listed(&[BUSY, Does::Cuts, LISTS]).await, (Ok(_), 3)));
    }

    #[tokio::test]
    async fn read_is_given_up_after_three_tries() {
        let (cut, calls) = listed(&[Does::Cuts, Does::Cuts, Does::Cuts, LISTS]).await;
        assert_eq!((cut.unwrap_err().to_string().as_str(), calls), ("the server did not answer", 3));
        let (busy, calls) = listed(&[BUSY, BUSY, BUSY, LISTS]).await;
        assert_eq!((busy.unwrap_err().to_string().as_str(), calls), ("try again", 3));
    }

    #[tokio::test]
    async fn other_failures_are_not_repeated() {
        // It has waited long enough already.
        let (timed_out, calls) = listed(&[Does::Nothing, LISTS]).await;
        assert_eq!((timed_out.unwrap_err().to_string().as_str(), calls), ("the server did not answer", 1));
        let (foreign, calls) = listed(&[Does::Answers(502, "<html>"), LISTS]).await;
        assert!(foreign.unwrap_err().to_string().contains("CONSOLE_LISTEN"));
        assert_eq!(calls, 1);
        let (refused, calls) = listed(&[REFUSES, LISTS]).await;
        assert_eq!((refused.unwrap_err().to_string().as_str(), calls), ("no", 1));
    }

    #[test]
    fn answers_hold_a_report_or_an_error() {
        let list: TownList = opened(200, json!({ "towns": [], "more": true })).unwrap();
        assert!(list.more);
        let error = |status: u16, answer: Value| opened::<TownList>(status, answer).unwrap_err().to_string();
        let refusal =
            |reason: &str| json!({ "error": { "reason": reason, "message": "no such town: alice/mill\u{7}" } });
        assert_eq!(error(404, refusal("no_such_town")), "no such town: alice/mill\u{fffd}");
        assert_eq!(error(409, refusal("busy")), "no such town: alice/mill\u{fffd}");
        for (status, answer) in
            [(200, json!({})), (200, Value::Null), (404, json!({ "error": "no" })), (502, json!([]))]
        {
            assert!(error(status, answer).contains("CONSOLE_LISTEN"), "{status}");
        }
    }

    #[test]
    fn addresses_of_consoles_are_those_of_servers() {
        for url in ["http://127.0.0.1:9465", "http://127.0.0.1:9465/", "http://127.0.0.1:9465/console"] {
            assert_eq!(console_url(url), server_url("http://127.0.0.1:9465"), "{url}");
        }
        assert!(console_url("http://towns.example.com").is_err());
    }

    #[test]
    fn tokens_of_users_are_told_apart() {
        assert!(is_of_user(&"eyJhbGciOiJIUzI1NiJ9.eyJ2IjoxfQ.c2ln".into()));
        for token in ["q7Jd0wXbR2mZ9sKfT4yHc1VgN8eLpA5u", "ey.a.", "a.b.c", ""] {
            assert!(!is_of_user(&token.into()), "{token}");
        }
    }
}
