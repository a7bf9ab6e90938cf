//! The answer to a call, before it is rendered as HTTP.

use serde_json::{Value, json};

use crate::api_error::ApiError;

/// The body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Empty,
    Json(Value),
    Text(String),
    /// An answer of an attached program.
    Forwarded {
        headers: Box<http::HeaderMap>,
        body: bytes::Bytes,
    },
}

/// The status, the body and the `Retry-After` header of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content: Content,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
    /// The kind of the effect that hit the call, for the access log.
    pub(crate) fault: Option<&'static str>,
}

impl Reply {
    fn new(status: u16, content: Content) -> Self {
        Self { status, content, retry_after: None, fault: None }
    }

    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self::new(status, Content::Json(value))
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, Content::Empty)
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::new(status, Content::Text(text.to_owned()))
    }

    /// Returns `{"ok":true}`, Fly's answer to an accepted call.
    pub(crate) fn ok() -> Self {
        Self::json(200, json!({ "ok": true }))
    }

    /// Returns the JSON body.
    pub(crate) fn value(&self) -> Option<&Value> {
        match &self.content {
            Content::Json(value) => Some(value),
            Content::Empty | Content::Text(_) | Content::Forwarded { .. } => None,
        }
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let mut body = json!({ "error": error.to_string() });
        if let Some(code) = error.code() {
            body["status"] = json!(code);
        }
        Self::json(error.status(), body)
    }
}
