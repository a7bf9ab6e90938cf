//! For whoever runs the process: is it alive, and can it work?

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use gastown_domain::ports::Readiness;
use http::StatusCode;
use serde_json::json;
use tokio::time::timeout;

use crate::failure::Chain;

/// `/healthz` and `/readyz`, for everybody and without details.
pub(crate) fn routes(readiness: Arc<dyn Readiness>, limit: Duration) -> Router {
    Router::new().route("/healthz", get(healthy)).route("/readyz", get(ready)).with_state((readiness, limit))
}

/// Alive: the process answers. Asks nobody, so that a database that is down restarts no process.
async fn healthy() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Ready: the database answers.
async fn ready(State((readiness, limit)): State<(Arc<dyn Readiness>, Duration)>) -> Response {
    match timeout(limit, readiness.ready()).await {
        Ok(Ok(())) => return Json(json!({ "status": "ready" })).into_response(),
        Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "not ready"),
        Err(_) => tracing::warn!("not ready: the database does not answer"),
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable" }))).into_response()
}
