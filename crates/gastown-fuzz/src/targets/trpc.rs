//! Requests: paths and batches, and bodies of any depth, as a user and as a sandbox.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    AddRig, AddedRig, Caller, CreateTown, DestroyTown, EventPage, GatewayToken, HomeCalls, HomeError, Readiness,
    RemoveRig, RemovedRig, RestoreTown, RestoredTown, StartedTown, StoreError, TokenRejection, TownChanges, TownError,
    TownListChanges, TownPage, TownReport, TownState, TownSummary, Towns, UpdateTown, UserTokens, VerifiedToken,
};
use gastown_domain::{HistoryEvent, ListPosition, Region, Rig, RigId, SandboxReport, TownId, WatchPosition};
use gastown_http::{HandlerRuntime, HttpParts, HttpSettings, router};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::{Outcome, Run, Target, hold};

const WORDS: &[&str] = &[
    "gastown.createTown",
    "gastown.getTownStatus",
    "gastown.listTowns",
    "gastown.watchTown",
    "gastown.watchTowns",
    "gastown.heartbeat",
    ",",
    "?batch=1",
    "&input=",
    "%7B%220%22%3A",
    "{\"0\":",
    "{\"json\":",
    "\"townName\":",
    "\"townId\":",
    "\"config\":",
    "\"rigs\":",
    "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
    "[[[[[[[[",
    "{\"a\":{\"a\":",
    "1e400",
    "\"\\ud800\"",
    "POST",
    "GET",
];

/// Requests: the first line is the method and the path, the rest is the body.
pub(super) const PATHS: Target =
    Target { name: "trpc", start: || start(request_of), words: WORDS, memory: (1024 * 1024, 256) };

/// Bodies of a create.
pub(super) const BODIES: Target = Target {
    name: "json",
    start: || start(|input| Some(("POST".to_owned(), "/trpc/gastown.createTown".to_owned(), input.to_vec()))),
    words: WORDS,
    memory: (1024 * 1024, 256),
};

type Parts = (String, String, Vec<u8>);

fn request_of(input: &[u8]) -> Option<Parts> {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let line = std::str::from_utf8(&input[..end]).ok()?;
    let (method, path) = line.split_once(' ')?;
    Some((method.to_owned(), path.to_owned(), input.get(end + 1..).unwrap_or_default().to_vec()))
}

fn start(request: fn(&[u8]) -> Option<Parts>) -> anyhow::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let ports = Arc::new(NothingExists);
    let app = runtime.block_on(async {
        router(HttpParts {
            towns: ports.clone(),
            home: ports.clone(),
            tokens: ports.clone(),
            readiness: ports,
            metrics: Arc::new(gastown_domain::ports::NoMetrics),
            tasks: TaskTracker::new(),
            handlers: HandlerRuntime::of_connections(),
            settings: HttpSettings::default(),
        })
    });
    Ok(Box::new(move |input| {
        let Some((method, path, body)) = request(input) else { return Ok("no request".to_owned()) };
        runtime.block_on(send(app.clone(), &method, &path, body))
    }))
}

async fn send(app: Router, method: &str, path: &str, body: Vec<u8>) -> Outcome {
    let request = Request::builder().method(method).uri(path).header("host", "gastown.example.org");
    let request = request.header("authorization", "Bearer good").header("x-internal-api-key", "good");
    let Ok(request) = request.header("content-type", "application/json").body(Body::from(body)) else {
        return Ok("no request".to_owned());
    };
    let is_trpc = request.uri().path().starts_with("/trpc/");
    let answer = app.oneshot(request).await.map_err(|error| error.to_string())?;
    let (status, json) = (answer.status(), answer.headers().get("content-type").cloned());
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    let unexpected = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
    hold(!unexpected.contains(&status), "the service fails")?;
    if is_trpc && json.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        let envelope: serde_json::Value = serde_json::from_slice(&body).map_err(|_| "the answer is not JSON")?;
        let first = envelope.get(0).unwrap_or(&envelope);
        let code = first.pointer("/error/data/code").or(first.pointer("/error/json/data/code"));
        let fields = first.pointer("/error/data/zodError/fieldErrors").map(|fields| fields.to_string().len().min(200));
        let count = envelope.as_array().map(|calls| calls.len().min(8));
        return Ok(format!("{status} {code:?} {fields:?} {count:?}"));
    }
    Ok(status.to_string())
}

/// Ports of a service with one user and no town.
struct NothingExists;

impl UserTokens for NothingExists {
    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenRejection> {
        match "alice".parse() {
            Ok(user) if token == "good" => Ok(VerifiedToken { user, pepper: None }),
            Ok(_) | Err(_) => Err(TokenRejection::Malformed),
        }
    }
}

#[async_trait]
impl Readiness for NothingExists {
    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl HomeCalls for NothingExists {
    async fn heartbeat(
        &self,
        _: TownId,
        _: SecretString,
        _: SandboxReport,
        _: Option<DateTime<Utc>>,
    ) -> Result<(), HomeError> {
        Ok(())
    }

    async fn refresh_token(&self, _: TownId, _: SecretString) -> Result<GatewayToken, HomeError> {
        Err(HomeError::Unauthorized)
    }
}

#[async_trait]
impl Towns for NothingExists {
    async fn create_town(&self, _: &Caller, _: CreateTown) -> Result<TownState, TownError> {
        Err(TownError::NameTaken)
    }

    async fn destroy_town(&self, _: &Caller, _: DestroyTown) -> Result<TownState, TownError> {
        Err(TownError::NotFound)
    }

    async fn stop_town(&self, _: &Caller, _: TownId) -> Result<TownState, TownError> {
        Err(TownError::NotFound)
    }

    async fn start_town(&self, _: &Caller, _: TownId) -> Result<StartedTown, TownError> {
        Err(TownError::NotFound)
    }

    async fn restore_town(&self, _: &Caller, _: RestoreTown) -> Result<RestoredTown, TownError> {
        Err(TownError::NotFound)
    }

    async fn update_town(&self, _: &Caller, _: UpdateTown) -> Result<TownState, TownError> {
        Err(TownError::NotFound)
    }

    async fn rig(&self, _: &Caller, _: TownId, _: RigId) -> Result<Rig, TownError> {
        Err(TownError::RigNotFound)
    }

    async fn add_rig(&self, _: &Caller, _: AddRig) -> Result<AddedRig, TownError> {
        Err(TownError::NotFound)
    }

    async fn remove_rig(&self, _: &Caller, _: RemoveRig) -> Result<RemovedRig, TownError> {
        Err(TownError::NotFound)
    }

    async fn town_status(&self, _: &Caller, _: TownId) -> Result<TownReport, TownError> {
        Err(TownError::NotFound)
    }

    async fn town_events(&self, _: &Caller, _: EventPage) -> Result<Vec<HistoryEvent>, TownError> {
        Err(TownError::NotFound)
    }

    async fn list_towns(&self, _: &Caller, _: TownPage) -> Result<Vec<TownSummary>, TownError> {
        Ok(Vec::new())
    }

    async fn watch_town(
        &self,
        _: &Caller,
        _: TownId,
        _: Option<WatchPosition>,
    ) -> Result<Box<dyn TownChanges>, TownError> {
        Err(TownError::NotFound)
    }

    async fn watch_towns(&self, _: &Caller, _: Option<ListPosition>) -> Result<Box<dyn TownListChanges>, TownError> {
        Err(TownError::Unauthorized)
    }

    async fn regions(&self, _: &Caller) -> Result<Vec<Region>, TownError> {
        Ok(Vec::new())
    }
}
