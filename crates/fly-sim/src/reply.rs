//! An answer before it becomes HTTP.

use serde_json::{Value, json};

use crate::refusal::Refusal;

/// What an answer carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Nothing,
    Json(Value),
    Text(String),
}

/// Status, content, and the one header that says something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content: Content,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Reply {
    fn new(status: u16, content: Content) -> Self {
        Self { status, content, retry_after: None }
    }

    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self::new(status, Content::Json(value))
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, Content::Nothing)
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::new(status, Content::Text(text.to_owned()))
    }

    /// `{"ok":true}`, Fly's answer to what it has accepted.
    pub(crate) fn ok() -> Self {
        Self::json(200, json!({ "ok": true }))
    }

    /// The JSON that goes out, if any.
    pub(crate) fn value(&self) -> Option<&Value> {
        match &self.content {
            Content::Json(value) => Some(value),
            Content::Nothing | Content::Text(_) => None,
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut body = json!({ "error": refusal.to_string() });
        if let Some(code) = refusal.code() {
            body["status"] = json!(code);
        }
        Self::json(refusal.status(), body)
    }
}
