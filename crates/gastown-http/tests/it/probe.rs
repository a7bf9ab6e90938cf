//! The router `probe` of the recordings, for cases that the procedures of towns do not cover.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use gastown_domain::ports::NoMetrics;
use gastown_http::HandlerRuntime;
use gastown_http::trpc::{
    AdmissionLimits, CallError, Code, ConnectionParams, Guard, Input, Router, Settings, Tracked, Undefined,
    WatcherLimits, routes,
};
use http::{header, request::Parts};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::server::Server;

pub(crate) fn settings() -> Settings {
    Settings {
        max_body_bytes: 1024,
        body_timeout: Duration::from_secs(20),
        batching: true,
        max_batch_size: 3,
        batch_concurrency: 3,
        max_answer_bytes: 4096,
        max_untaken_bytes: 1024 * 1024,
        time_limit: Duration::from_secs(20),
        stream_ping: None,
        reads: admission(),
        changes: admission(),
        watchers: watchers(),
    }
}

pub(crate) fn watchers() -> WatcherLimits {
    WatcherLimits {
        max_open: 100,
        max_open_per_caller: 100,
        ping: Duration::from_secs(20),
        reconnect_after: None,
        max_age: Duration::from_secs(60),
    }
}

/// Returns limits that no test reaches by chance.
pub(crate) fn admission() -> AdmissionLimits {
    AdmissionLimits {
        max_running: 100,
        max_running_per_caller: 100,
        max_waiting: 100,
        max_wait: Duration::from_millis(200),
    }
}

pub(crate) async fn serve(router: Router, settings: Settings) -> Server {
    let running = (TaskTracker::new(), HandlerRuntime::of_connections());
    let trpc = routes(router, (&[], &[]), settings, running, Arc::new(NoMetrics)).trpc;
    Server::start(axum::Router::new().nest_service("/trpc", trpc)).await
}

/// Admits every caller.
pub(crate) struct Anybody;

#[async_trait]
impl Guard for Anybody {
    type Caller = ();

    async fn admit(&self, _: &Parts) -> Result<(), CallError> {
        Ok(())
    }

    fn share(&self, (): &()) -> u64 {
        0
    }
}

/// Admits callers with a token.
pub(crate) struct WithToken;

#[async_trait]
impl Guard for WithToken {
    type Caller = ();

    async fn admit(&self, head: &Parts) -> Result<(), CallError> {
        if head.headers.contains_key(header::AUTHORIZATION) {
            return Ok(());
        }
        Err(CallError::new(Code::Unauthorized, "invalid_token", "rejected before routing"))
    }

    fn share(&self, (): &()) -> u64 {
        0
    }
}

/// Accepts every input.
pub(crate) struct Anything(pub Option<Value>);

impl Input for Anything {
    fn parse(raw: Option<Value>) -> Result<Self, CallError> {
        Ok(Self(raw))
    }
}

pub(crate) struct Unserialisable;

impl Serialize for Unserialisable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not for the client"))
    }
}

pub(crate) fn router() -> Router {
    Router::new()
        .query("probe.nothing", Anybody, |(), ()| async { Ok(Undefined) })
        .query("probe.nil", Anybody, |(), ()| async { Ok(None::<u8>) })
        .query("probe.values", Anybody, |(), ()| async {
            Ok(json!({"when": "2024-01-02T03:04:05.678Z", "list": [1, null, 2], "nan": f64::NAN, "text": "ü \"q\""}))
        })
        .mutation("probe.ping", Anybody, |(), ()| async { Ok("pong") })
        .query("probe.echo", Anybody, |(), Anything(input)| async {
            Ok(json!({ "input": input.unwrap_or_else(|| "(undefined)".into()) }))
        })
        .query("probe.badOut", Anybody, |(), ()| async { Ok(Unserialisable) })
        .query("probe.fast", Anybody, |(), ()| async { Ok(json!({"fast": true})) })
        .query("probe.slow", Anybody, |(), ()| async {
            tokio::time::sleep(Duration::from_millis(120)).await;
            Ok(json!({"slow": true}))
        })
        .mutation("probe.take", WithToken, |(), Anything(input)| async { Ok(input) })
        .query("probe.panics", Anybody, |(), ()| async { Ok(explode()) })
        .query("probe.stuck", Anybody, |(), ()| std::future::pending::<Result<u8, CallError>>())
}

/// Returns the router with the recorded subscriptions.
pub(crate) fn subscriptions() -> Router {
    router()
        .subscription("probe.ticks", Anybody, |(), Anything(input)| async move {
            let last = input.as_ref().and_then(|input| input["lastEventId"].as_str()).map(str::parse::<u64>);
            let last = last.transpose().unwrap_or_default().unwrap_or_default();
            Ok(stream::iter((last + 1..=last + 3).map(|n| Ok(Tracked::new(n.to_string(), json!({ "n": n }))))))
        })
        .subscription("probe.plainTicks", Anybody, |(), ()| async {
            Ok(stream::iter([1, 2].map(|n| Ok(Tracked::untracked(json!({ "n": n }))))))
        })
        .subscription("probe.mixedTicks", Anybody, |(), ()| async {
            let untracked = Tracked::untracked(json!({"untracked": true}));
            Ok(stream::iter([Ok(Tracked::new("7".to_owned(), json!({"n": 7}))), Ok(untracked)]))
        })
        .subscription("probe.failing", Anybody, |(), ()| async {
            let broken = CallError::new(Code::Conflict, "broken", "stream broke");
            Ok(stream::iter([Ok(Tracked::untracked(json!({"n": 1}))), Err(broken)]))
        })
        .subscription("probe.idle", Anybody, |(), ()| async {
            Ok(stream::iter([Ok(Tracked::untracked(json!({"n": 1})))]).chain(stream::pending()))
        })
        .subscription("probe.secured", Secured, |(), ()| async {
            Ok(stream::iter([Ok::<_, CallError>(Tracked::untracked(json!(1)))]))
        })
        .subscription("probe.params", Params, |ConnectionParams(params), ()| async move {
            Ok(stream::iter([Ok(Tracked::untracked(json!({ "params": params })))]))
        })
}

/// Admits the callers that a switch lets in.
pub(crate) struct Switch(pub Arc<AtomicBool>);

#[async_trait]
impl Guard for Switch {
    type Caller = ();

    async fn admit(&self, _: &Parts) -> Result<(), CallError> {
        let is_open = self.0.load(Ordering::SeqCst);
        is_open.then_some(()).ok_or_else(|| CallError::new(Code::Unauthorized, "expired", "token expired"))
    }

    fn share(&self, (): &()) -> u64 {
        0
    }
}

/// Rejects every caller.
struct Secured;

#[async_trait]
impl Guard for Secured {
    type Caller = ();

    async fn admit(&self, _: &Parts) -> Result<(), CallError> {
        Err(CallError::new(Code::Unauthorized, "rejected", "Missing or invalid bearer token"))
    }

    fn share(&self, (): &()) -> u64 {
        0
    }
}

/// Takes the connection parameters for the caller.
struct Params;

#[async_trait]
impl Guard for Params {
    type Caller = ConnectionParams;

    async fn admit(&self, head: &Parts) -> Result<ConnectionParams, CallError> {
        Ok(head.extensions.get::<ConnectionParams>().cloned().unwrap_or_default())
    }

    fn share(&self, _: &ConnectionParams) -> u64 {
        0
    }
}

fn explode() -> u8 {
    panic!("a secret in a panic")
}
