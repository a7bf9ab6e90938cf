//! The router `probe` of the recordings, for cases that the procedures of towns do not cover.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gastown_domain::ports::NoMetrics;
use gastown_http::trpc::{AdmissionLimits, CallError, Code, Guard, Input, Router, Settings, Undefined, service};
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
    Server::start(
        axum::Router::new().nest_service("/trpc", service(router, settings, TaskTracker::new(), Arc::new(NoMetrics))),
    )
    .await
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
        Err(CallError::new(Code::Unauthorized, "rejected", "rejected before routing"))
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

fn explode() -> u8 {
    panic!("a secret in a panic")
}
