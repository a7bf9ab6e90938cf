//! The answer to a call, before it is rendered as HTTP.

use serde_json::{Value, json};

use crate::api_error::ApiError;

/// The body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Empty,
    Json(Value),
    /// The entries of a list, each as JSON. As values, ten thousand machines would take a hundred megabytes.
    List(Vec<String>),
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

    /// Returns a list, whose entries are rendered one by one.
    pub(crate) fn list(entries: impl Iterator<Item = Value>) -> Self {
        Self::new(200, Content::List(entries.map(|entry| entry.to_string()).collect()))
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

    /// Returns the JSON body, unless it is a list of entries.
    pub(crate) fn value(&self) -> Option<&Value> {
        match &self.content {
            Content::Json(value) => Some(value),
            Content::Empty | Content::List(_) | Content::Text(_) | Content::Forwarded { .. } => None,
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
