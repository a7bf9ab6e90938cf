//! Subscriptions: one request by GET, whose answer is a stream of events until it ends, fails or is cut.
//!
//! Errors of the call are events with the status 200, because a browser hides the body of any other answer. A
//! stream that is closed without an end makes the client reconnect and resume after the last id.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use http::{HeaderValue, header, request::Parts};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, field::Empty};

use super::{
    error::CallError,
    per_caller::{Held, PerCaller},
    query::{self, Malformed},
    router::{Failure, Written},
    sse::{self, Values},
};
use crate::{HandlerRuntime, reason::Reason};

/// The time after which a refused watcher may try again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The limits of subscriptions.
#[derive(Debug, Clone)]
pub struct WatcherLimits {
    /// The subscriptions at a time.
    pub max_open: usize,
    /// The subscriptions of one caller at a time.
    pub max_open_per_caller: usize,
    /// The longest silence before a ping is sent. The caller is admitted again before each ping and each value.
    pub ping: Duration,
    /// The silence after which a client reconnects, sent with the first event. `None`: it waits.
    pub reconnect_after: Option<Duration>,
    /// The longest time of a subscription. The client then reconnects.
    pub max_age: Duration,
}

impl Default for WatcherLimits {
    /// Returns the limits for production.
    fn default() -> Self {
        Self {
            max_open: 1000,
            max_open_per_caller: 20,
            ping: Duration::from_secs(10),
            reconnect_after: Some(Duration::from_secs(30)),
            max_age: Duration::from_secs(60 * 60),
        }
    }
}

/// The parameters of a connection whose client cannot set headers, as an extension of the request's head.
#[derive(Debug, Clone, Default)]
pub struct ConnectionParams(pub BTreeMap<String, String>);

/// The end of a connection, as an extension of the request's head. Without it, a subscription ends at its age.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionEnd {
    /// Cancelled when the server stops.
    pub(crate) stopping: CancellationToken,
    /// The time that the connection has for one answer.
    pub(crate) max_answer: Option<Duration>,
}

/// The next event of a subscription: a value with its id, or its failure.
pub(super) type Event = Result<(Option<String>, Written), Failure>;

/// The opened subscription.
pub(super) struct Opened {
    pub(super) events: BoxStream<'static, Event>,
    /// Held until the end.
    pub(super) _place: Place,
}

/// Opens a subscription for a call.
pub(super) type Open = dyn Fn(Subscribing) -> BoxFuture<'static, Result<Opened, CallError>> + Send + Sync;
/// Admits the caller of a subscription again.
pub(super) type Readmit = dyn Fn(Arc<Parts>) -> BoxFuture<'static, Result<(), CallError>> + Send + Sync;

/// The call of a subscription.
pub(super) struct Subscribing {
    pub(super) head: Arc<Parts>,
    pub(super) input: Result<Option<Value>, CallError>,
    pub(super) watchers: Watchers,
    pub(super) handlers: HandlerRuntime,
}

/// A subscription procedure.
#[derive(Clone)]
pub(super) struct Subscription {
    pub(super) open: Arc<Open>,
    pub(super) readmit: Arc<Readmit>,
}

/// The open subscriptions of each caller.
#[derive(Clone)]
pub(super) struct Watchers {
    limits: WatcherLimits,
    open: PerCaller,
}

/// The place of an open subscription, until it is dropped.
pub(super) type Place = Held;

impl Watchers {
    pub(super) fn new(limits: WatcherLimits) -> Self {
        Self { limits, open: PerCaller::default() }
    }

    /// Takes a place.
    ///
    /// Errors: `TOO_MANY_REQUESTS` if this caller has too many subscriptions, `SERVICE_UNAVAILABLE` if all callers have.
    pub(super) fn take(&self, caller: u64) -> Result<Place, CallError> {
        self.open.add(caller, 1, |own, all| self.check(own, all).map_err(|error| error.retry_after(RETRY_AFTER)))
    }

    fn check(&self, own: usize, all: usize) -> Result<(), CallError> {
        let max = self.limits.max_open_per_caller;
        if own >= max {
            let message = format!("You have {max} open subscriptions, which is the limit; close one of them");
            return Err(Reason::TooManyWatchers.error(message).with_detail("limit", max.into()));
        }
        if all >= self.limits.max_open {
            return Err(Reason::Overloaded.error("The service has too many open subscriptions; try again later"));
        }
        Ok(())
    }
}

/// Returns the connection parameters of a request.
///
/// Errors: `BAD_REQUEST` unless they are an object of texts.
pub(super) fn connection_params(head: &Parts) -> Result<ConnectionParams, CallError> {
    let malformed = || Reason::MalformedRequest.error("Invalid connection params: expected an object of texts");
    let Some(query) = head.uri.query() else { return Ok(ConnectionParams::default()) };
    let Some(raw) = query::values(query, "connectionParams").next() else { return Ok(ConnectionParams::default()) };
    let text = raw.map_err(|Malformed| malformed())?;
    let params: Option<BTreeMap<String, String>> = serde_json::from_str(&text).map_err(|_| malformed())?;
    Ok(ConnectionParams(params.unwrap_or_default()))
}

/// Adds the id after which the client resumes to an input. The header wins over the query.
pub(super) fn with_last_event_id(head: &Parts, input: Option<Value>) -> Option<Value> {
    let of_header = head.headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let query = head.uri.query().unwrap_or_default();
    let of_query = || ["lastEventId", "Last-Event-Id"].iter().find_map(|name| query::values(query, name).next()?.ok());
    let Some(id) = of_header.or_else(of_query).filter(|id| !id.is_empty()) else { return input };
    let mut members = match input {
        Some(Value::Object(members)) => members,
        None => Map::new(),
        other => return other,
    };
    members.insert("lastEventId".to_owned(), id.into());
    Some(Value::Object(members))
}

/// Returns the answer: the first event at once, then those of the subscription.
pub(super) fn respond(subscription: Subscription, call: Subscribing, path: String, limits: &WatcherLimits) -> Response {
    let end = call.head.extensions.get::<ConnectionEnd>().cloned();
    let max_answer = end.as_ref().and_then(|end| end.max_answer);
    let age = max_answer.map_or(limits.max_age, |max| limits.max_age.min(max * 9 / 10));
    let head = Arc::clone(&call.head);
    let Subscription { open, readmit } = subscription;
    let running = Running {
        state: State::New(open(call)),
        values: Values::default(),
        path,
        ping: limits.ping,
        ends_at: Instant::now() + age,
        stopping: end.map(|end| end.stopping).unwrap_or_default(),
        readmit: Box::new(move || readmit(Arc::clone(&head))),
    };
    let events = stream::unfold(running, |mut running| async move {
        let text = running.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), running))
    });
    let connected = sse::connected(limits.reconnect_after);
    let first = stream::once(async { Ok(Bytes::from(connected)) });
    let mut response = Response::new(Body::from_stream(first.chain(events.boxed())));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::VARY, "trpc-accept, accept"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A subscription and its answer.
struct Running {
    state: State,
    values: Values,
    path: String,
    ping: Duration,
    ends_at: Instant,
    stopping: CancellationToken,
    readmit: Box<dyn Fn() -> BoxFuture<'static, Result<(), CallError>> + Send>,
}

enum State {
    New(BoxFuture<'static, Result<Opened, CallError>>),
    Open(Opened),
    Ended,
}

/// The next thing that happens to a subscription.
enum Next {
    Event(Option<Event>),
    Silence,
    Cut,
}

impl Running {
    /// Returns the next text. `None` closes the stream.
    async fn next(&mut self) -> Option<String> {
        if let State::New(opening) = &mut self.state {
            match opening.await {
                Ok(opened) => self.state = State::Open(opened),
                Err(error) => return Some(self.failed(&error)),
            }
        }
        let next = match &mut self.state {
            State::Open(opened) => {
                next_of(opened, &self.stopping, self.ends_at.min(Instant::now() + self.ping), self.ends_at).await
            }
            State::New(_) | State::Ended => return None,
        };
        if !matches!(next, Next::Cut | Next::Event(None))
            && let Err(error) = (self.readmit)().await
        {
            return Some(self.failed(&error));
        }
        match next {
            Next::Cut => None,
            Next::Silence => Some(sse::PING.to_owned()),
            Next::Event(None) => {
                self.state = State::Ended;
                Some(sse::RETURN.to_owned())
            }
            Next::Event(Some(Ok((id, value)))) => Some(self.values.write(id, &value)),
            Next::Event(Some(Err(failure))) => Some(self.failed(&super::serve::call_error(failure))),
        }
    }

    /// Ends with an error.
    fn failed(&mut self, error: &CallError) -> String {
        self.state = State::Ended;
        sse::error(error, &self.path)
    }
}

/// Waits for the next event, until the stream is cut or `silent_until` passes.
async fn next_of(opened: &mut Opened, stopping: &CancellationToken, silent_until: Instant, ends_at: Instant) -> Next {
    tokio::select! {
        biased;
        () = stopping.cancelled() => Next::Cut,
        event = timeout_at(silent_until, opened.events.next()) => match event {
            Ok(event) => Next::Event(event),
            Err(_) if Instant::now() >= ends_at => Next::Cut,
            Err(_) => Next::Silence,
        },
    }
}

/// Runs the opening of a subscription in the span of its call.
pub(super) fn in_span<T>(path: &str, opening: impl Future<Output = T> + Send + 'static) -> BoxFuture<'static, T>
where
    T: Send + 'static,
{
    let span = tracing::error_span!("call", procedure = path, user.id = Empty, town.id = Empty);
    Box::pin(opening.instrument(span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trpc::Code;

    #[test]
    fn places_are_limited_and_given_back() {
        let watchers = Watchers::new(WatcherLimits { max_open: 3, max_open_per_caller: 2, ..WatcherLimits::default() });
        let code = |taken: Result<Place, CallError>| taken.err().map(|error| (error.code(), error.reason().to_owned()));
        let alice = (watchers.take(1).unwrap(), watchers.take(1).unwrap());
        assert_eq!(code(watchers.take(1)), Some((Code::TooManyRequests, "too_many_watchers".to_owned())));
        let bob = watchers.take(2).unwrap();
        assert_eq!(code(watchers.take(2)), Some((Code::ServiceUnavailable, "overloaded".to_owned())));
        drop(alice);
        assert_eq!(code(watchers.take(2)), None);
        drop(bob);
        assert_eq!(watchers.open.len(), 0, "nothing is kept of callers without subscriptions");
    }
}
