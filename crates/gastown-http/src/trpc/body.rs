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

use super::{
    code::Code,
    error::CallError,
    per_caller::{Held, PerCaller},
    query,
    request::Plan,
    settings::Settings,
};
use crate::reason::Reason;

/// The time after which a caller may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The input of all calls of a request.
pub(super) struct RequestInput {
    source: Source,
    batch: bool,
    read: OnceCell<Result<Inputs, CallError>>,
}

enum Source {
    Query(Option<String>),
    Body { body: Mutex<Option<Body>>, limit: usize, patience: Duration, deadline: Instant, in_flight: BodiesInFlight },
}

/// The bytes of bodies that are being read, by caller.
#[derive(Clone)]
pub(super) struct BodiesInFlight {
    max: usize,
    bytes: PerCaller,
}

impl BodiesInFlight {
    /// Each caller has this many bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { max, bytes: PerCaller::default() }
    }

    /// Counts a body until the returned value is dropped. A single body is admitted in any case.
    fn add(&self, caller: u64, bytes: usize) -> Result<Held, CallError> {
        self.bytes.add(caller, bytes, |own, _| {
            if own == 0 || own + bytes <= self.max {
                return Ok(());
            }
            let message = "You send too many large requests at a time; wait for some of them to end";
            Err(Reason::TooManyCalls.error(message).retry_after(RETRY_AFTER))
        })
    }
}

#[derive(Debug, Clone)]
enum Inputs {
    One(Option<Value>),
    Indexed(Map<String, Value>),
}

impl Source {
    fn of_query(head: &Parts) -> Self {
        Self::Query(head.uri.query().map(str::to_owned))
    }
}

impl RequestInput {
    fn from(source: Source, batch: bool) -> Arc<Self> {
        Arc::new(Self { source, batch, read: OnceCell::new() })
    }

    /// Takes the query string alone.
    pub(super) fn of_query(head: &Parts) -> Arc<Self> {
        Self::from(Source::of_query(head), false)
    }

    /// Takes the query string of a GET, and the body of every other method, of at most `limit` bytes.
    pub(super) fn new(
        head: &Parts,
        body: Body,
        plan: &Plan,
        settings: &Settings,
        (in_flight, deadline): (BodiesInFlight, Instant),
    ) -> Arc<Self> {
        let batch = plan.form.is_batch();
        let source = if head.method == Method::GET {
            Source::of_query(head)
        } else {
            let limit = plan.max_body_bytes().map_or(settings.max_body_bytes, |max| max.min(settings.max_body_bytes));
            Source::Body { body: Mutex::new(Some(body)), limit, patience: settings.body_timeout, deadline, in_flight }
        };
        Self::from(source, batch)
    }

    async fn inputs(&self, caller: u64) -> Result<Inputs, CallError> {
        let value = match &self.source {
            Source::Query(None) => None,
            Source::Query(Some(query)) => from_query(query)?,
            Source::Body { body, limit, patience, deadline, in_flight } => {
                let Some(body) = body.lock().await.take() else { return Err(CallError::internal()) };
                let announced = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
                let _counted = in_flight.add(caller, announced.unwrap_or(*limit).min(*limit))?;
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
    /// Returns the call's input. `None` is `undefined`. The first call reads the input of all calls, for its caller.
    pub(super) async fn read(&self, caller: u64) -> Result<Option<Value>, CallError> {
        match self.of_request.read.get_or_init(|| self.of_request.inputs(caller)).await {
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

/// The most values, members and elements of an input. A value takes up to a hundred times the memory of its text.
const MAX_VALUES: usize = 20_000;

fn from_json(bytes: &[u8]) -> Result<Value, CallError> {
    if values(bytes) > MAX_VALUES {
        return Err(bad_request(format!("The input has more than {MAX_VALUES} values")));
    }
    serde_json::from_slice(bytes).map_err(|error| bad_request(format!("Invalid JSON: {error}")))
}

/// Counts the values of a JSON text without parsing it: the characters outside of texts after which a value begins.
fn values(bytes: &[u8]) -> usize {
    let (mut values, mut in_text, mut escaped) = (0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b':' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    values
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_texts() {
        for (text, want) in [("1", 0), (r#"{"a":[1,2]}"#, 4), (r#""[,:{\"[""#, 0), (r#"["\\",1]"#, 2)] {
            assert_eq!(values(text.as_bytes()), want, "{text}");
        }
        let many = format!("[{}1]", "{\"\":0},".repeat(MAX_VALUES));
        assert!(from_json(many.as_bytes()).is_err() && from_json(b"[{\"\":0}]").is_ok());
    }

    #[test]
    fn bodies_of_one_caller_are_bounded_and_those_of_others_are_not() {
        let bodies = BodiesInFlight::new(10);
        let first = bodies.add(1, 20).unwrap();
        assert!(bodies.add(1, 1).is_err() && bodies.add(2, 10).is_ok());
        drop(first);
        let _two = (bodies.add(1, 5).unwrap(), bodies.add(1, 5).unwrap());
        assert!(bodies.add(1, 1).is_err());
        assert_eq!(bodies.bytes.len(), 1);
    }
}
