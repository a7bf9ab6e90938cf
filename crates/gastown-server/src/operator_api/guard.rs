//! The callers of the API: only those with an operator's token, and only as many as the process can answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Served;
use super::failure::Failure;

/// The pause after a wrong token. With few connections it bounds the attempts and their log messages.
const REFUSAL_PAUSE: Duration = Duration::from_millis(500);
/// The longest read. A change is never cut off, because it may have happened.
const READ_TIMEOUT: Duration = Duration::from_secs(150);

/// The actor in the events of a caller's changes.
#[derive(Debug, Clone)]
pub(super) struct Actor(pub(super) String);

/// Answers 401 without an operator's token, and 503 if too many calls run.
pub(super) async fn guard(State(served): State<Arc<Served>>, mut request: Request, next: Next) -> Response {
    let Some(actor) = served.operators.actor(request.headers()) else { return refused(request.headers()).await };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    // A page of another site cannot send this type without asking first, which is not answered.
    if !is_read && !is_json(request.headers()) {
        return Failure::not_json().into_response();
    }
    let Ok(_place) = served.calls.try_acquire() else { return Failure::busy().into_response() };
    request.extensions_mut().insert(Actor(actor));
    if !is_read {
        return next.run(request).await;
    }
    match tokio::time::timeout(READ_TIMEOUT, next.run(request)).await {
        Ok(answer) => answer,
        Err(elapsed) => Failure::unavailable(&elapsed).into_response(),
    }
}

/// Says which token is needed. A wrong one is answered after a pause.
async fn refused(headers: &HeaderMap) -> Response {
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return challenged(Failure::unauthorized("token_missing", "the token of an operator is missing"));
    };
    tracing::warn!("call of the operators' API refused");
    tokio::time::sleep(REFUSAL_PAUSE).await;
    challenged(if is_of_user(given) {
        Failure::unauthorized(
            "token_of_user",
            "this is the token of a user; the operators' API needs that of an operator (GASTOWN_OPERATOR_TOKEN)",
        )
    } else {
        Failure::unauthorized("token_wrong", "this is not the token of an operator (CONSOLE_TOKEN, CONSOLE_TOKENS)")
    })
}

fn challenged(failure: Failure) -> Response {
    let mut answer = failure.into_response();
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

/// Returns true for a signed token, which users have.
fn is_of_user(given: &HeaderValue) -> bool {
    let token = given.to_str().ok().and_then(|given| given.split_once(' ')).map(|(_, token)| token);
    token.is_some_and(|token| token.starts_with("ey") && token.split('.').count() == 3)
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Adds the headers of security to every answer.
pub(super) async fn secured(answer: Response) -> Response {
    let mut answer = match answer.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large().into_response(),
        _ => answer,
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
