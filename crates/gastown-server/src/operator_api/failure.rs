//! The answers of the API that have no report: a code for programs, and a text for people.

use std::error::Error;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::operator_access::AccessError;

/// An answer without a report.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    reason: String,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, reason: &str, message: String) -> Self {
        Self { status, reason: reason.to_owned(), message }
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message.to_owned())
    }

    pub(super) fn unauthorized(reason: &str, message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, reason, message.to_owned())
    }

    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body has more than 4 kB".to_owned())
    }

    pub(super) fn no_such_town(town: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_town", format!("no such town: {town}"))
    }

    pub(super) fn unknown_route() -> Self {
        let text = "this version of the operators' API has no such path; see docs/operator-api.md";
        Self::new(StatusCode::NOT_FOUND, "unknown_path", text.to_owned())
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "use GET to read and POST to change".to_owned())
    }

    pub(super) fn not_json() -> Self {
        let text = "the content type of a change must be application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", text.to_owned())
    }

    pub(super) fn read_only() -> Self {
        let text = "this server only reads: start it with --allow-actions to change towns through it";
        Self::new(StatusCode::FORBIDDEN, "read_only", text.to_owned())
    }

    pub(super) fn without_provider() -> Self {
        let text = "this server has no client of Fly".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
    }

    pub(super) fn busy() -> Self {
        let text = "too many calls of operators run at a time; try again".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
    }

    /// Returns the answer to a failed read or write. The cause is in the log only.
    pub(super) fn unavailable(error: &(dyn Error + 'static)) -> Self {
        tracing::warn!(error, "failed to answer an operator");
        let text = "the registry or Fly could not be reached; the log of the server has the cause".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NoSuchTown(town) => Self::no_such_town(&town),
            AccessError::Refused { reason, message } => Self { status: StatusCode::CONFLICT, reason, message },
            AccessError::Read(_) | AccessError::Write(_) | AccessError::Server(_) => Self::unavailable(&error),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, reason, message } = self;
        let body = Json(json!({ "error": { "reason": reason, "message": message } }));
        let mut answer = (status, body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
