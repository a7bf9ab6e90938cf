//! A sandbox with rigs in memory, which records its requests.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use gastown_domain::ports::SandboxAddress;
use gastown_sandbox::{SandboxClient, Timeouts};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const TOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
pub(crate) const KEY: &str = "canary-key-5a1c";
pub(crate) const MACHINE: &str = "148ed21a031189";

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) rigs: Vec<Value>,
    pub(crate) requests: Vec<String>,
}

pub(crate) type Shared = Arc<Mutex<Memory>>;

/// Returns the address of the town's sandbox.
pub(crate) fn address() -> SandboxAddress {
    SandboxAddress {
        app: "mill".parse().unwrap(),
        machine: MACHINE.parse().unwrap(),
        town: TOWN.parse().unwrap(),
        keys: vec![SecretString::from(KEY)],
    }
}

/// Returns a client with a time-out that no working sandbox reaches.
pub(crate) fn client(at: SocketAddr) -> SandboxClient {
    client_within(at, Duration::from_secs(10))
}

/// Returns a client with this time-out for every call.
pub(crate) fn client_within(at: SocketAddr, deadline: Duration) -> SandboxClient {
    let timeouts = Timeouts {
        connect: Duration::from_secs(10),
        quick: deadline,
        remove: deadline,
        clone: deadline,
        sync: deadline,
    };
    SandboxClient::new(format!("http://{at}/{{app}}/{{machine_id}}").parse().unwrap(), timeouts).unwrap()
}

pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Starts a correct sandbox.
pub(crate) async fn sandbox() -> (SandboxClient, Shared) {
    let memory = Shared::default();
    let routes = Router::new()
        .route("/health", get(|| async { Json(json!({ "status": "ok", "townId": TOWN, "version": "1" })) }))
        .route("/rigs", get(list).post(add))
        .route("/rigs/{name}", delete(remove))
        .route("/sync", post(|| async { Json(json!({ "syncedAt": "2026-11-23T13:45:00.5Z" })) }))
        .layer(middleware::from_fn_with_state(memory.clone(), gate))
        .with_state(memory.clone());
    let at = serve(Router::new().nest(&format!("/mill/{MACHINE}"), routes)).await;
    (client(at), memory)
}

async fn gate(State(memory): State<Shared>, request: Request, next: Next) -> Response {
    let line = format!("{} {} pin={}", request.method(), request.uri(), header(&request, "fly-force-instance-id"));
    memory.lock().unwrap().requests.push(line);
    if header(&request, "x-internal-api-key") != KEY {
        return problem(StatusCode::UNAUTHORIZED, "unauthorized", "no");
    }
    next.run(request).await
}

fn header(request: &Request, name: &str) -> String {
    request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
}

async fn list(State(memory): State<Shared>) -> Json<Value> {
    Json(json!({ "rigs": memory.lock().unwrap().rigs }))
}

async fn add(State(memory): State<Shared>, Json(rig): Json<Value>) -> Response {
    if rig["repoUrl"].as_str().unwrap().contains("/missing") {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "rig_refused", "the repository\ndoes not exist");
    }
    let rigs = &mut memory.lock().unwrap().rigs;
    match rigs.iter().find(|present| present["name"] == rig["name"]) {
        Some(present) if present["repoUrl"] == rig["repoUrl"] => Json(rig).into_response(),
        Some(_) => problem(StatusCode::CONFLICT, "rig_exists", "the name is taken by another repository"),
        None => {
            rigs.push(rig.clone());
            (StatusCode::CREATED, Json(rig)).into_response()
        }
    }
}

#[derive(serde::Deserialize)]
struct Force {
    force: bool,
}

async fn remove(State(memory): State<Shared>, Path(name): Path<String>, Query(force): Query<Force>) -> Response {
    let rigs = &mut memory.lock().unwrap().rigs;
    let Some(index) = rigs.iter().position(|rig| rig["name"] == name) else {
        return problem(StatusCode::NOT_FOUND, "rig_not_found", "no such rig");
    };
    if rigs[index]["repoUrl"].as_str().unwrap().contains("/busy") && !force.force {
        let error =
            json!({ "code": "rig_in_use", "message": "busy", "inTheWay": ["2 commits not pushed", "a session"] });
        return (StatusCode::CONFLICT, Json(json!({ "error": error }))).into_response();
    }
    rigs.remove(index);
    StatusCode::NO_CONTENT.into_response()
}

pub(crate) fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}
