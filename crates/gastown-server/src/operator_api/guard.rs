//! The callers of the API: only those with an operator's token, and only as many as the process can answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::failure::{Failure, InLog};
use super::parameters::Parameters;
use super::{Served, body};

/// The pause after a wrong token. With few connections it bounds the attempts and their log messages.
const REFUSAL_PAUSE: Duration = Duration::from_millis(500);
/// The longest read. A change is never cut off, because it may have happened.
const READ_TIMEOUT: Duration = Duration::from_secs(150);

/// The id of a request. The outer layers add one to a request without a valid one.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The actor in the events of a caller's changes.
#[derive(Debug, Clone)]
pub(super) struct Actor(pub(super) String);

/// Answers 421 to another host in development, 401 without an operator's token, and 503 if too many calls run.
pub(super) async fn guard(State(served): State<Arc<Served>>, mut request: Request, next: Next) -> Response {
    if let Some(url) = served.operators.other_host(&mut request) {
        return Failure::wrong_host(url).into_response();
    }
    let Some(actor) = served.operators.actor(request.headers()) else { return refused(request.headers()).await };
    if let Err(failure) = check(&request) {
        return failure.into_response();
    }
    let Ok(_place) = served.calls.try_acquire() else { return Failure::busy().into_response() };
    request.extensions_mut().insert(Actor(actor));
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read {
        return match body::whole(request).await {
            Ok(request) => next.run(request).await,
            Err(failure) => failure.into_response(),
        };
    }
    match tokio::time::timeout(READ_TIMEOUT, next.run(request)).await {
        Ok(answer) => answer,
        Err(elapsed) => Failure::unavailable(&elapsed).into_response(),
    }
}

/// Errors: the path is not text, or it is a change that is not JSON or has fields in its address.
///
/// Each change is a POST. No route has another method, so the rest is answered by the router.
fn check(request: &Request) -> Result<(), Failure> {
    if percent_encoding::percent_decode_str(request.uri().path()).decode_utf8().is_err() {
        return Err(Failure::bad_request("the path is not UTF-8 after its percent-encoding is resolved"));
    }
    if *request.method() != Method::POST {
        return Ok(());
    }
    // A page of another site cannot send this type without asking first, which is not answered.
    if !is_json(request.headers()) {
        return Err(Failure::not_json());
    }
    Parameters::read(request.uri().query(), &[]).map(drop)
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

/// Adds the headers of security to every answer, and the id of the request to the text of an internal error.
pub(super) async fn secured(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
    let mut answer = next.run(request).await;
    if let Some(InLog(failure)) = answer.extensions_mut().remove() {
        answer = failure.of_request(id.as_deref()).into_response();
    }
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
