//! The liveness and readiness probes of the process.

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

/// Serves `/healthz` and `/readyz`, without authentication and without details.
pub(crate) fn routes(readiness: Arc<dyn Readiness>, limit: Duration) -> Router {
    Router::new().route("/healthz", get(healthy)).route("/readyz", get(ready)).with_state((readiness, limit))
}

/// Reports that the process is alive. It makes no call, so that an unavailable database restarts no process.
async fn healthy() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Reports whether the database answers.
async fn ready(State((readiness, limit)): State<(Arc<dyn Readiness>, Duration)>) -> Response {
    match timeout(limit, readiness.ready()).await {
        Ok(Ok(())) => return Json(json!({ "status": "ready" })).into_response(),
        Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "readiness check failed"),
        Err(_) => tracing::warn!(?limit, "readiness check timed out"),
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable" }))).into_response()
}
