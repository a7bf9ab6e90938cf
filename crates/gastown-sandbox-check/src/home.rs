//! A small control plane for one town: it records the calls of the sandbox.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::TownId;
use gastown_domain::ports::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::town::{Town, expiry, gateway_token};

/// The lifetime of a new token, as in production.
const NEW_TOKEN: TimeDelta = TimeDelta::hours(24);
/// The most calls that are recorded. A sandbox needs four.
const MAX_CALLS: usize = 1000;
/// The most characters of a body in a report.
const MAX_SHOWN: usize = 200;

/// A control plane that knows one town. It answers the first heartbeat with 503.
pub struct Home {
    url: Url,
    calls: Arc<Calls>,
    _serving: AbortOnDropHandle<()>,
}

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The address cannot be bound.
    #[error("failed to listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The bound address is not a URL.
    #[error("the address is not a URL")]
    Url(#[from] url::ParseError),
}

/// A call of the sandbox.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    is_heartbeat: bool,
    /// True if it had the town's key.
    pub(crate) has_key: bool,
    /// The body, if it is JSON.
    pub(crate) body: Option<Value>,
    /// The body for a report.
    pub(crate) shown: String,
}

struct Calls {
    town: Mutex<Option<(TownId, SecretString)>>,
    received: watch::Sender<Vec<Received>>,
    new_token: Mutex<Option<SecretString>>,
    clock: Arc<dyn Clock>,
}

impl Home {
    /// Starts to listen on an address. Port 0 selects a free one.
    pub async fn start(listen: SocketAddr, clock: Arc<dyn Clock>) -> Result<Self, HomeError> {
        let failed = |cause| HomeError::Bind { address: listen, cause };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let calls = Arc::new(Calls {
            town: Mutex::default(),
            received: watch::Sender::default(),
            new_token: Mutex::default(),
            clock,
        });
        let router = Router::new()
            .route("/trpc/gastown.heartbeat", post(heartbeat))
            .route("/trpc/gastown.refreshToken", post(refresh_token))
            .route("/api/gastown/heartbeat", post(plain_heartbeat))
            .route("/api/gastown/refresh-token", post(plain_refresh_token))
            .with_state(Arc::clone(&calls));
        // Serving ends only with an error of the listener, which the waiting checks report as missing calls.
        let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        let url = format!("http://{bound}").parse()?;
        Ok(Self { url, calls, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Returns the address of the server.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Sets the town whose calls are expected.
    pub fn expect(&self, town: &Town) {
        *lock(&self.calls.town) = Some((town.id, town.key.clone()));
    }

    /// Returns the time of the control plane.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.calls.clock.now()
    }

    /// Waits for the nth heartbeat, counted from 1.
    pub(crate) async fn heartbeat(&self, nth: usize, limit: Duration) -> Option<Received> {
        self.wait(limit, |calls| calls.iter().filter(|call| call.is_heartbeat).nth(nth.checked_sub(1)?).cloned()).await
    }

    /// Waits for a request for a token.
    pub(crate) async fn refresh(&self, limit: Duration) -> Option<Received> {
        self.wait(limit, |calls| calls.iter().find(|call| !call.is_heartbeat).cloned()).await
    }

    async fn wait<T>(&self, limit: Duration, find: impl Fn(&[Received]) -> Option<T>) -> Option<T> {
        let mut received = self.calls.received.subscribe();
        let found =
            async { received.wait_for(|calls| find(calls).is_some()).await.ok().and_then(|calls| find(&calls)) };
        tokio::time::timeout(limit, found).await.ok().flatten()
    }

    /// Returns the expiry of the new token, if one was requested.
    pub(crate) fn new_expiry(&self) -> Option<DateTime<Utc>> {
        expiry(lock(&self.calls.new_token).as_ref()?.expose_secret())
    }
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Calls {
    /// Records a call. Returns the town if its key was right, and the number of calls of this kind before.
    fn record(&self, is_heartbeat: bool, headers: &HeaderMap, body: &Bytes) -> (Option<TownId>, usize) {
        let given = headers.get("x-internal-api-key").and_then(|key| key.to_str().ok());
        let town = lock(&self.town).as_ref().filter(|(_, key)| given == Some(key.expose_secret())).map(|(id, _)| *id);
        let shown = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
        let body = serde_json::from_slice(body).ok();
        let call = Received { is_heartbeat, has_key: town.is_some(), body, shown };
        let mut before = 0;
        self.received.send_modify(|calls| {
            before = calls.iter().filter(|call| call.is_heartbeat == is_heartbeat).count();
            if calls.len() < MAX_CALLS {
                calls.push(call);
            }
        });
        (town, before)
    }
}

/// The refusal of a call.
#[derive(Clone, Copy)]
enum Refusal {
    Unauthorized,
    Unavailable,
}

impl Refusal {
    const fn parts(self) -> (StatusCode, i32, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, -32001, "UNAUTHORIZED"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, -32603, "SERVICE_UNAVAILABLE"),
        }
    }
}

impl Calls {
    /// Takes a heartbeat. The first one is refused.
    fn heartbeat(&self, headers: &HeaderMap, body: &Bytes) -> Result<Value, Refusal> {
        match self.record(true, headers, body) {
            (None, _) => Err(Refusal::Unauthorized),
            (Some(_), 0) => Err(Refusal::Unavailable),
            (Some(town), _) => Ok(json!({ "townId": town, "recorded": true })),
        }
    }

    fn refresh_token(&self, headers: &HeaderMap, body: &Bytes) -> Result<Value, Refusal> {
        let (Some(town), _) = self.record(false, headers, body) else { return Err(Refusal::Unauthorized) };
        let mut token = lock(&self.new_token);
        let token = token.get_or_insert_with(|| gateway_token(town, self.clock.now() + NEW_TOKEN));
        let expires_at = expiry(token.expose_secret()).map(|at| at.to_rfc3339());
        Ok(json!({ "token": token.expose_secret(), "expiresAt": expires_at }))
    }
}

async fn heartbeat(State(calls): State<Arc<Calls>>, headers: HeaderMap, body: Bytes) -> Response {
    trpc(calls.heartbeat(&headers, &body))
}

async fn refresh_token(State(calls): State<Arc<Calls>>, headers: HeaderMap, body: Bytes) -> Response {
    trpc(calls.refresh_token(&headers, &body))
}

async fn plain_heartbeat(State(calls): State<Arc<Calls>>, headers: HeaderMap, body: Bytes) -> Response {
    plain(calls.heartbeat(&headers, &body))
}

async fn plain_refresh_token(State(calls): State<Arc<Calls>>, headers: HeaderMap, body: Bytes) -> Response {
    plain(calls.refresh_token(&headers, &body))
}

/// Returns an answer in the form of tRPC.
fn trpc(answer: Result<Value, Refusal>) -> Response {
    match answer.map_err(Refusal::parts) {
        Ok(data) => Json(json!({ "result": { "data": data } })).into_response(),
        Err((status, code, name)) => {
            let data = json!({ "code": name, "httpStatus": status.as_u16() });
            (status, Json(json!({ "error": { "message": name, "code": code, "data": data } }))).into_response()
        }
    }
}

/// Returns an answer of a plain route.
fn plain(answer: Result<Value, Refusal>) -> Response {
    match answer.map_err(Refusal::parts) {
        Ok(data) => Json(data).into_response(),
        Err((status, _, name)) => {
            let error = json!({ "message": name, "code": name, "httpStatus": status.as_u16() });
            (status, Json(json!({ "error": error }))).into_response()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
