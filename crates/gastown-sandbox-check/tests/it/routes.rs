//! The API of the double.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use chrono::DateTime;
use gastown_domain::ports::Clock as _;
use serde_json::{Value, json};

use crate::double::{Sandbox, expiry};
use crate::fault::Fault;
use crate::stage::{SLOW_HEALTH, TestClock};

type Shared = State<Arc<Sandbox>>;

pub(crate) fn of(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/rigs", get(list).post(add))
        .route("/rigs/{name}", delete(remove))
        .route("/sync", post(sync))
        .layer(middleware::from_fn_with_state(Arc::clone(&sandbox), gate))
        .with_state(sandbox)
}

fn problem(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message } });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn gate(State(sandbox): Shared, headers: HeaderMap, request: Request, next: Next) -> Response {
    let given = headers.get("x-internal-api-key").map(|key| key.to_str().unwrap());
    let is_part = || given.is_some_and(|given| sandbox.key.starts_with(given));
    let accepted = given == Some(sandbox.key.as_str())
        || (sandbox.has(Fault::HealthWithoutKey) && given.is_none() && request.uri().path() == "/health")
        || (sandbox.has(Fault::AcceptsPartOfTheKey) && is_part());
    if accepted {
        return next.run(request).await;
    }
    if sandbox.has(Fault::AddsBeforeTheKey) {
        next.run(request).await;
    } else if sandbox.has(Fault::ParsesBeforeTheKey) {
        let body = axum::body::to_bytes(request.into_body(), 1000).await.unwrap();
        if !body.is_empty() && serde_json::from_slice::<Value>(&body).is_err() {
            return problem(400, "bad_request", "not JSON");
        }
    }
    let says = sandbox.has(Fault::SaysIfTheKeyIsMissing) && given.is_none();
    problem(401, "unauthorized", if says { "the key is missing" } else { "no" })
}

async fn health(State(sandbox): Shared) -> Response {
    let calls = sandbox.health_calls.fetch_add(1, Ordering::Relaxed);
    if sandbox.has(Fault::SlowHealth) && sandbox.is_first_boot && calls < 2 {
        tokio::time::sleep(SLOW_HEALTH).await;
    }
    if sandbox.has(Fault::ProxyAnswersAtFirst) && calls < 2 {
        return (StatusCode::BAD_GATEWAY, Html("<h1>502 Bad Gateway</h1>")).into_response();
    }
    let status = if sandbox.has(Fault::StaysStarting) { "starting" } else { "ok" };
    let town = if sandbox.has(Fault::NamesAnotherTown) { "another" } else { &sandbox.town };
    let expires_at = if sandbox.has(Fault::ExpiryIsNotATime) {
        json!("soon")
    } else {
        json!(expiry(&sandbox.token.lock().unwrap()))
    };
    Json(json!({ "status": status, "townId": town, "tokenExpiresAt": expires_at })).into_response()
}

async fn list(State(sandbox): Shared) -> Response {
    let mut rigs = sandbox.volume.lock().unwrap().rigs.clone();
    if sandbox.has(Fault::AddedRigIsNotListed) {
        rigs.retain(|rig| rig["name"] != "kit_app");
    }
    Json(if sandbox.has(Fault::ListIsAnArray) { json!(rigs) } else { json!({ "rigs": rigs }) }).into_response()
}

/// Returns the refusal of a rig that is wrong on its own.
fn refusal(sandbox: &Sandbox, name: &str, repo: &str) -> Option<Response> {
    let is_word =
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_reserved = name == "mayor" && !sandbox.has(Fault::AcceptsReservedNames);
    let is_url = repo.starts_with("https://") || (sandbox.has(Fault::AcceptsFiles) && repo.starts_with("file://"));
    if !is_word || is_reserved || !is_url {
        return Some(problem(422, "rig_refused", "gt does not accept this rig"));
    }
    if !repo.contains("/refused/") {
        return None;
    }
    if sandbox.has(Fault::RefusedRigStays) {
        sandbox.volume.lock().unwrap().blocked.push(name.to_owned());
    }
    let shows = sandbox.has(Fault::RefusalShowsTheKey);
    let message = if shows { format!("failed for {}", sandbox.key) } else { "no such repository".to_owned() };
    let temporary = sandbox.has(Fault::RefusalIsTemporary);
    Some(if temporary { problem(503, "not_ready", &message) } else { problem(422, "rig_refused", &message) })
}

async fn add(State(sandbox): Shared, body: Bytes) -> Response {
    let rig: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (Some(name), Some(repo)) = (rig["name"].as_str(), rig["repoUrl"].as_str()) else {
        let status = if sandbox.has(Fault::MalformedBodyIsRefused) { 422 } else { 400 };
        return problem(status, "bad_request", "not a rig");
    };
    if let Some(refusal) = refusal(&sandbox, name, repo) {
        return refusal;
    }
    let mut volume = sandbox.volume.lock().unwrap();
    if volume.blocked.iter().any(|blocked| blocked == name) {
        return problem(503, "not_ready", "the directory exists");
    }
    let is_same = |present: &Value| {
        let present = present["name"].as_str().unwrap();
        if sandbox.has(Fault::CaseMakesANewRig) { present == name } else { present.eq_ignore_ascii_case(name) }
    };
    let at_once = sandbox.has(Fault::AddsTwiceAtOnce) && name == "kit_twice";
    match volume.rigs.iter().find(|present| is_same(present)) {
        Some(present) if present["repoUrl"] == repo && !at_once => {
            let conflict = sandbox.has(Fault::RepeatIsAConflict) && name == "kit_app";
            if conflict { problem(409, "rig_exists", "it exists") } else { Json(present.clone()).into_response() }
        }
        Some(_) if !at_once => {
            let code = if sandbox.has(Fault::ConflictHasAnotherCode) { "conflict" } else { "rig_exists" };
            problem(409, code, "another repository")
        }
        _ => {
            let default = if sandbox.has(Fault::BranchIsEmpty) { "" } else { "main" };
            let branch = rig["branch"].as_str().unwrap_or(default);
            let rig = json!({ "name": name, "repoUrl": repo, "branch": branch });
            volume.rigs.push(rig.clone());
            let other = json!({ "name": name, "repoUrl": repo, "branch": "other" });
            let answered = if sandbox.has(Fault::AddAnswersAnotherBranch) { other } else { rig };
            (StatusCode::CREATED, Json(answered)).into_response()
        }
    }
}

async fn remove(State(sandbox): Shared, Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let is_forced = match query.as_deref() {
        Some("force=true") => !(sandbox.has(Fault::ForceIsIgnored) && name == "kit_busy"),
        Some("force=1") => sandbox.has(Fault::AnyForceCounts),
        _ => false,
    };
    let mut volume = sandbox.volume.lock().unwrap();
    if is_forced {
        volume.blocked.retain(|blocked| *blocked != name);
    }
    let is_it = |rig: &Value| rig["name"].as_str().unwrap().eq_ignore_ascii_case(&name);
    let Some(rig) = volume.rigs.iter().find(|rig| is_it(rig)).cloned() else {
        let removed = sandbox.has(Fault::UnknownRigIsRemoved);
        return if removed { StatusCode::NO_CONTENT.into_response() } else { problem(404, "rig_not_found", "none") };
    };
    let has_work = rig["repoUrl"].as_str().unwrap().contains("/unpushed/");
    if has_work && !is_forced && !sandbox.has(Fault::RemovesUnpushedWork) {
        if sandbox.has(Fault::RemovesAndRefuses) {
            volume.rigs.retain(|rig| !is_it(rig));
        }
        let error = json!({ "code": "rig_in_use", "message": "work", "inTheWay": ["2 commits not pushed"] });
        return (StatusCode::CONFLICT, Json(json!({ "error": error }))).into_response();
    }
    if !sandbox.has(Fault::RemovesNothing) || is_forced {
        volume.rigs.retain(|rig| !is_it(rig));
    }
    if sandbox.has(Fault::RemovedFilesStay) && !is_forced {
        volume.blocked.push(name.to_lowercase());
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn sync(State(sandbox): Shared) -> Response {
    let now = TestClock.now();
    let nth = sandbox.syncs.fetch_add(1, Ordering::Relaxed);
    match sandbox.fault {
        Some(Fault::SyncWithoutTime) => Json(json!({ "status": "ok" })).into_response(),
        Some(Fault::SyncTimeIsOld) => Json(json!({ "syncedAt": DateTime::UNIX_EPOCH })).into_response(),
        Some(Fault::SecondSyncFails) if nth > 0 => problem(503, "not_ready", "later"),
        Some(Fault::SyncBreaksOff) => {
            let broken = futures::stream::iter([Ok("{"), Err(std::io::Error::other("broken off"))]);
            Body::from_stream(broken).into_response()
        }
        Some(Fault::SyncIsTooLarge) => Json(json!({ "syncedAt": now, "log": "x".repeat(1 << 20) })).into_response(),
        Some(Fault::SyncHangs) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::OK.into_response()
        }
        Some(Fault::SyncIsText) => json!({ "syncedAt": now }).to_string().into_response(),
        _ => Json(json!({ "syncedAt": now })).into_response(),
    }
}
