//! Procedures as plain routes, for callers without a client of tRPC: the body is the input, and the answer has no envelope.
//!
//! Everything else is as with the protocol: the checks and their order, the limits, and what is counted.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use gastown_domain::ports::Measurement;
use http::{Method, StatusCode};
use serde_json::json;
use tracing::Span;

use super::{
    cut::cut,
    envelope::CallOutcome,
    error::CallError,
    request::Plan,
    router::Written,
    serve::{Service, UNKNOWN, allowing, respond, retrying},
};
use crate::reason::Reason;

/// Answers a request with one procedure.
pub(super) async fn handle(service: Arc<Service>, procedure: &'static str, request: Request) -> Response {
    if request.method() == Method::HEAD {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (head, body) = request.into_parts();
    Span::current().record("procedure", procedure);
    match Plan::plain(&head, procedure, &service.router) {
        Ok(plan) => {
            let allow = plan.allow(&head.method);
            allowing(service.run(plan, head, body).await, allow)
        }
        Err(error) => {
            let (code, took) = (error.code().name(), Duration::ZERO);
            service.metrics.record(Measurement::CallAnswered { procedure, code, took });
            retrying(respond(error.code().http_status(), text(&error)), error.retry_seconds())
        }
    }
}

/// Answers a request for a path below those of the plain routes that is none of them.
pub(super) fn unknown(service: &Service, request: &Request) -> Response {
    let error = Reason::NoProcedure.error(format!("No route on path \"{}\"", cut(request.uri().path())));
    let (procedure, code, took) = (UNKNOWN, error.code().name(), Duration::ZERO);
    service.metrics.record(Measurement::CallAnswered { procedure, code, took });
    respond(error.code().http_status(), text(&error))
}

/// Returns the body of the answer to a call.
pub(super) fn answer(call: &CallOutcome) -> String {
    match &call.outcome {
        Ok(Written::Undefined) => "null".to_owned(),
        Ok(Written::Json(data)) => data.clone(),
        Err(error) => text(error),
    }
}

/// Returns the body of the answer to a call that failed.
fn text(error: &CallError) -> String {
    json!({ "error": error.plain() }).to_string()
}
