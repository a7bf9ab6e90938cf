//! The answers of the API that have no report: a code for programs, and a text for people.

use std::error::Error;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gastown_domain::OperationId;
use serde_json::json;

use crate::operator_access::AccessError;

/// An answer without a report.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: StatusCode,
    reason: String,
    message: String,
    /// True if the log has the cause.
    in_log: bool,
}

/// A failure whose cause is in the log, as an extension of its answer.
#[derive(Debug, Clone)]
pub(super) struct InLog(pub(super) Failure);

impl Failure {
    fn new(status: StatusCode, reason: &str, message: String) -> Self {
        Self { status, reason: reason.to_owned(), message, in_log: false }
    }

    /// Names the request whose lines in the log have the cause.
    pub(super) fn of_request(self, id: Option<&str>) -> Self {
        let message = id.map_or_else(|| self.message.clone(), |id| format!("{} (request {id})", self.message));
        Self { message, in_log: false, ..self }
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn logged(self) -> Self {
        Self { in_log: true, ..self }
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message.to_owned())
    }

    /// Returns the answer to a field that is not one of the `known` ones.
    pub(super) fn unknown_field(field: &str, known: &[&str]) -> Self {
        let text = if known.is_empty() { "none is".to_owned() } else { format!("known are {}", known.join(", ")) };
        Self::bad_request(&format!("the field {field} is unknown; {text}"))
    }

    pub(super) fn unauthorized(reason: &str, message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, reason, message.to_owned())
    }

    pub(super) fn wrong_host(url: &str) -> Self {
        let text = format!("this host is not that of the console: call {url}/api");
        Self::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", text)
    }

    pub(super) fn too_slow() -> Self {
        let text = "the body did not arrive within 10 seconds".to_owned();
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", text)
    }

    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body has more than 4 kB".to_owned())
    }

    pub(super) fn no_such_town(town: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_town", format!("no such town: {town}"))
    }

    pub(super) fn no_such_operation(operation: OperationId) -> Self {
        let text = format!("no operation {operation} is in flight, and the end of none is recorded");
        Self::new(StatusCode::NOT_FOUND, "no_such_operation", text)
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
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text).logged()
    }

    /// Returns the answer to a call whose handler has panicked.
    pub(super) fn internal() -> Self {
        tracing::error!("request panicked");
        let text = "an internal error; the log of the server has the cause".to_owned();
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text).logged()
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NoSuchTown(town) => Self::no_such_town(&town),
            AccessError::Refused { reason, message } => Self::new(StatusCode::CONFLICT, &reason, message),
            AccessError::Read(_) | AccessError::Write(_) | AccessError::Server(_) => Self::unavailable(&error),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, reason, message, in_log } = &self;
        let body = Json(json!({ "error": { "reason": reason, "message": message } }));
        let mut answer = (*status, body).into_response();
        if *status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if *in_log {
            answer.extensions_mut().insert(InLog(self));
        }
        answer
    }
}
