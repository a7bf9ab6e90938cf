use std::{borrow::Cow, time::Duration};

use serde_json::{Map, Value, json};

use super::code::Code;
use crate::reason::Reason;

/// The failure of a call, or of a whole request, as sent to the client.
///
/// It contains no secret and no cause. The cause is logged where this error is created.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CallError {
    code: Code,
    reason: Cow<'static, str>,
    message: Cow<'static, str>,
    details: Map<String, Value>,
    retry_after: Option<Duration>,
}

impl CallError {
    /// Creates an error with a code, a reason that programs test, and a text for the user.
    pub fn new(code: Code, reason: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        let (reason, message) = (reason.into(), message.into());
        Self { code, reason, message, details: Map::new(), retry_after: None }
    }

    /// Adds a member to `error.data`, beside `code`, `reason`, `httpStatus` and `path`.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: Value) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }

    /// Sets the time after which the caller may try again: the header `retry-after`, and the member `retryAfter` of
    /// `error.data`, in whole seconds.
    #[must_use]
    pub fn retry_after(self, pause: Duration) -> Self {
        let seconds = whole_seconds(pause);
        Self { retry_after: Some(pause), ..self.with_detail("retryAfter", seconds.into()) }
    }

    /// Returns the value of the header `retry-after`, if the error has one.
    pub(super) fn retry_seconds(&self) -> Option<u64> {
        self.retry_after.map(whole_seconds)
    }

    /// Creates the error for a fault of this service. The text does not reveal the cause.
    pub fn internal() -> Self {
        Reason::Internal.error("Internal server error")
    }

    /// Returns the code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the reason, `error.data.reason` on the wire.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the text for the user.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the member `error` of an answer without an envelope: the details, the message, and the name of the code.
    pub(super) fn plain(&self) -> Value {
        let mut error = self.data();
        error.insert("message".to_owned(), self.message.as_ref().into());
        error.into()
    }

    fn data(&self) -> Map<String, Value> {
        let mut data = self.details.clone();
        data.insert("code".to_owned(), self.code.name().into());
        data.insert("reason".to_owned(), self.reason.as_ref().into());
        data.insert("httpStatus".to_owned(), self.code.http_status().into());
        data
    }

    /// Returns the member `error` of the wire. Without a path the error is about the whole request.
    pub(super) fn shape(&self, path: Option<&str>) -> Value {
        let mut data = self.data();
        if let Some(path) = path {
            data.insert("path".to_owned(), path.into());
        }
        json!({ "message": self.message, "code": self.code.number(), "data": data })
    }
}

/// Returns the duration in whole seconds, at least one.
fn whole_seconds(pause: Duration) -> u64 {
    pause.as_secs().max(1)
}
