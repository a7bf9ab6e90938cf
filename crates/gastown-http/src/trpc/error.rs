use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::Code;

/// Why a call, or a whole request, failed, in the words its caller gets to read.
///
/// Nothing in it is secret, and it holds no cause: what the cause was is logged where this error is made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CallError {
    code: Code,
    message: Cow<'static, str>,
    details: Map<String, Value>,
}

impl CallError {
    /// An error with a code and a text for the user.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Map::new() }
    }

    /// Adds a member to `error.data`, beside `code`, `httpStatus` and `path`.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: Value) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }

    /// A fault of this service. The text says nothing about it.
    pub fn internal() -> Self {
        Self::new(Code::InternalServerError, "Something went wrong on our side")
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The text for the user.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What stands under `error` on the wire. Without a path the error belongs to the whole request.
    pub(super) fn shape(&self, path: Option<&str>) -> Value {
        let mut data = self.details.clone();
        data.insert("code".to_owned(), self.code.name().into());
        data.insert("httpStatus".to_owned(), self.code.http_status().into());
        if let Some(path) = path {
            data.insert("path".to_owned(), path.into());
        }
        json!({ "message": self.message, "code": self.code.number(), "data": data })
    }
}
