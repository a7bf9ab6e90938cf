//! The liveness and readiness probes of the process.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use gastown_domain::ports::Readiness;
use http::StatusCode;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{HandlerRuntime, failure::Chain};

/// Serves `/healthz` and `/readyz`, without authentication and without details.
pub(crate) fn routes(
    readiness: Arc<dyn Readiness>,
    handlers: HandlerRuntime,
    limit: Duration,
    max_age: Duration,
) -> Router {
    let checks = Arc::new(Checks { readiness, handlers, limit, max_age, latest: Mutex::new(None) });
    Router::new().route("/healthz", get(healthy)).route("/readyz", get(ready)).with_state(checks)
}

/// Reports that the process is alive. It makes no call, so that an unavailable database restarts no process.
async fn healthy() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Reports whether the database answers.
async fn ready(State(checks): State<Arc<Checks>>) -> Response {
    let check = checks.current();
    if check.await.ready {
        return Json(json!({ "status": "ready" })).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable" }))).into_response()
}

/// The checks of the database: one at a time, shared by all callers.
struct Checks {
    readiness: Arc<dyn Readiness>,
    handlers: HandlerRuntime,
    limit: Duration,
    max_age: Duration,
    latest: Mutex<Option<Check>>,
}

type Check = Shared<BoxFuture<'static, Checked>>;

/// The result of a check.
#[derive(Clone, Copy)]
struct Checked {
    ready: bool,
    at: Instant,
}

impl Checks {
    /// Returns the check in progress, or the last one if it is recent, or a new one.
    fn current(&self) -> Check {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |check: &&Check| check.peek().is_none_or(|checked| checked.at.elapsed() < self.max_age);
        if let Some(check) = latest.as_ref().filter(is_recent) {
            return check.clone();
        }
        latest.insert(self.start()).clone()
    }

    /// Starts a check in a task of its own, so that it does not end with the caller that needed it.
    fn start(&self) -> Check {
        let task = self.handlers.run_to_end(check(Arc::clone(&self.readiness), self.limit));
        task.map(|ready| Checked { ready, at: Instant::now() }).boxed().shared()
    }
}

async fn check(readiness: Arc<dyn Readiness>, limit: Duration) -> bool {
    match timeout(limit, readiness.ready()).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "readiness check failed"),
        Err(_) => tracing::warn!(?limit, "readiness check timed out"),
    }
    false
}
