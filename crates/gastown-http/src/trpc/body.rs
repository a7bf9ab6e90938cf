//! The input of a request, read once, when the first call needs it.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http::{Method, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};
use tokio::{
    sync::{Mutex, OnceCell},
    time::{Instant, timeout_at},
};

use super::{code::Code, error::CallError, query, settings::Settings};
use crate::reason::Reason;

/// The input of all calls of a request.
pub(super) struct RequestInput {
    source: Source,
    batch: bool,
    read: OnceCell<Result<Inputs, CallError>>,
}

enum Source {
    Query(Option<String>),
    Body { body: Mutex<Option<Body>>, limit: usize, patience: Duration, deadline: Instant },
}

#[derive(Debug, Clone)]
enum Inputs {
    One(Option<Value>),
    Indexed(Map<String, Value>),
}

impl RequestInput {
    /// Takes the query string of a GET, and the body of every other method.
    pub(super) fn new(head: &Parts, body: Body, batch: bool, settings: &Settings, deadline: Instant) -> Arc<Self> {
        let source = if head.method == Method::GET {
            Source::Query(head.uri.query().map(str::to_owned))
        } else {
            let Settings { max_body_bytes: limit, body_timeout: patience, .. } = *settings;
            Source::Body { body: Mutex::new(Some(body)), limit, patience, deadline }
        };
        Arc::new(Self { source, batch, read: OnceCell::new() })
    }

    async fn inputs(&self) -> Result<Inputs, CallError> {
        let value = match &self.source {
            Source::Query(None) => None,
            Source::Query(Some(query)) => from_query(query)?,
            Source::Body { body, limit, patience, deadline } => {
                let Some(body) = body.lock().await.take() else { return Err(CallError::internal()) };
                let deadline = (*deadline).min(Instant::now() + *patience);
                let bytes = timeout_at(deadline, collect(body, *limit)).await.map_err(|_| body_timed_out())??;
                if bytes.is_empty() { None } else { Some(from_json(&bytes)?) }
            }
        };
        match value {
            value if !self.batch => Ok(Inputs::One(value)),
            None => Ok(Inputs::Indexed(Map::new())),
            Some(Value::Object(members)) => Ok(Inputs::Indexed(members)),
            Some(_) => Err(bad_request(r#""input" needs to be an object when doing a batch call"#)),
        }
    }
}

/// The input of one call.
pub(super) struct CallInput {
    pub(super) of_request: Arc<RequestInput>,
    pub(super) index: usize,
}

impl CallInput {
    /// Returns the call's input. `None` is `undefined`. The first call reads the input of all calls.
    pub(super) async fn read(&self) -> Result<Option<Value>, CallError> {
        match self.of_request.read.get_or_init(|| self.of_request.inputs()).await {
            Ok(Inputs::One(value)) => Ok(value.clone()),
            Ok(Inputs::Indexed(members)) => Ok(members.get(&self.index.to_string()).cloned()),
            Err(error) => Err(error.clone()),
        }
    }
}

fn from_query(query: &str) -> Result<Option<Value>, CallError> {
    let mut values = query::values(query, "input");
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad_request(r#"The query parameter "input" is given more than once"#));
    }
    let text = first.map_err(|query::Malformed| bad_request(r#"Invalid URL-encoding in query parameter "input""#))?;
    if text.is_empty() { Ok(None) } else { from_json(text.as_bytes()).map(Some) }
}

fn from_json(bytes: &[u8]) -> Result<Value, CallError> {
    serde_json::from_slice(bytes).map_err(|error| bad_request(format!("Invalid JSON: {error}")))
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, CallError> {
    // `Limited` counts what arrives. An announced length over the limit is refused before the body arrives.
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(bad_request("The request body ended before it was complete")),
    }
}

fn body_timed_out() -> CallError {
    Reason::BodyTimeout.error("Timed out reading the request body").with_detail("started", false.into())
}

fn too_large() -> CallError {
    Reason::BodyTooLarge.error(Code::PayloadTooLarge.name())
}

fn bad_request(message: impl Into<std::borrow::Cow<'static, str>>) -> CallError {
    Reason::MalformedInput.error(message)
}
