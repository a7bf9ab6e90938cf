//! The adapter on top of mock ports, and two known users.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gastown_domain::ports::{
    HomeCalls, MockHomeCalls, NoMetrics, Readiness, StoreError, TokenRejection, Towns, UserTokens, VerifiedToken,
};
use gastown_http::{HandlerRuntime, HttpParts, HttpSettings, router, trpc};
use http::Method;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::{
    declared_reasons, probe,
    server::{Server, client},
};

pub(crate) const ALICE: &str = "alice-token";
pub(crate) const BOB: &str = "bob-token";

/// Tokens that must be rejected, with the reason.
pub(crate) const REFUSED: [(&str, TokenRejection); 9] = [
    ("not-a-token", TokenRejection::Malformed),
    ("alg-none", TokenRejection::Algorithm),
    ("forged", TokenRejection::Signature),
    ("expired", TokenRejection::Expired),
    ("early", TokenRejection::Immature),
    ("a-sandboxes", TokenRejection::Type),
    ("version-2", TokenRejection::Version),
    ("of-staging", TokenRejection::Environment),
    ("bare", TokenRejection::Claims),
];

struct Tokens;

impl UserTokens for Tokens {
    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenRejection> {
        let holder = |user: &str| VerifiedToken {
            user: user.parse().unwrap(),
            pepper: Some(format!("pepper of {user}").into()),
        };
        match REFUSED.iter().find(|(text, _)| *text == token) {
            Some((_, rejection)) => Err(*rejection),
            None if token == ALICE => Ok(holder("alice")),
            None if token == BOB => Ok(holder("bob")),
            None => Err(TokenRejection::Malformed),
        }
    }
}

struct Ready;

#[async_trait]
impl Readiness for Ready {
    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) fn settings() -> HttpSettings {
    HttpSettings {
        trpc: trpc::Settings {
            max_body_bytes: 64 * 1024,
            body_timeout: Duration::from_secs(20),
            batching: true,
            max_batch_size: 10,
            batch_concurrency: 10,
            max_answer_bytes: 1024 * 1024,
            max_untaken_bytes: 1024 * 1024,
            time_limit: Duration::from_secs(20),
            stream_ping: None,
            reads: probe::admission(),
            changes: probe::admission(),
            watchers: probe::watchers(),
        },
        allowed_origins: Vec::new(),
        readiness_limit: Duration::from_millis(200),
        readiness_max_age: Duration::from_millis(50),
    }
}

/// Returns the parts for these operations. No sandbox call is expected.
pub(crate) fn parts(towns: impl Towns + 'static) -> HttpParts {
    parts_with(towns, MockHomeCalls::new())
}

pub(crate) fn parts_with(towns: impl Towns + 'static, home: impl HomeCalls + 'static) -> HttpParts {
    HttpParts {
        towns: Arc::new(towns),
        home: Arc::new(home),
        tokens: Arc::new(Tokens),
        readiness: Arc::new(Ready),
        metrics: Arc::new(NoMetrics),
        tasks: TaskTracker::new(),
        handlers: HandlerRuntime::of_connections(),
        settings: settings(),
    }
}

pub(crate) async fn serve(parts: HttpParts) -> Server {
    Server::start(router(parts)).await
}

/// Makes one call, not batched. Returns status and envelope.
pub(crate) async fn call(server: &Server, method: Method, path: &str, token: &str, input: &Value) -> (u16, Value) {
    let mut request = client().request(method.clone(), server.url(&format!("/trpc/{path}")));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    request = if method == Method::GET {
        request.query(&[("input", input.to_string())])
    } else {
        request.header("content-type", "application/json").body(input.to_string())
    };
    answer(request).await
}

/// Sends a request, and returns the status and the body of its answer. Every reason in it must be declared.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    if response.headers()["content-type"] == "text/event-stream" {
        return first_event(response).await;
    }
    let status = response.status().as_u16();
    let body = response.json().await.unwrap();
    declared_reasons::check(&body);
    (status, body)
}

/// Returns the first value or the error of a subscription as the envelope of a query.
async fn first_event(mut response: reqwest::Response) -> (u16, Value) {
    let mut text = String::new();
    loop {
        let complete = text.rsplit_once("\n\n\n").map_or("", |(complete, _)| complete);
        for event in complete.split("\n\n\n").filter(|event| !event.starts_with("event: connected")) {
            let mut lines = event.lines();
            let first = lines.next().unwrap_or_default();
            if first == "event: serialized-error" {
                let error: Value = serde_json::from_str(lines.next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
                let status = error["data"]["httpStatus"].as_u64().unwrap();
                declared_reasons::check(&error);
                return (u16::try_from(status).unwrap(), serde_json::json!({ "error": error }));
            }
            if let Some(data) = first.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).unwrap();
                return (200, serde_json::json!({"result": {"data": data}}));
            }
        }
        let part = response.chunk().await.unwrap().expect("the stream ended without a value");
        text.push_str(std::str::from_utf8(&part).unwrap());
    }
}
