//! The adapter on top of mock ports, and two known users.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gastown_domain::{
    UserId,
    ports::{
        HomeCalls, MockHomeCalls, Readiness, StoreError, TokenRejection, Towns, User, UserTokens, Users, VerifiedToken,
    },
};
use gastown_http::{HttpParts, HttpSettings, router, trpc};
use http::Method;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::server::{Server, client};

pub(crate) const ALICE: &str = "alice-token";
pub(crate) const BOB: &str = "bob-token";

/// Tokens that must be rejected, with the reason.
pub(crate) const REFUSED: [(&str, Refusal); 14] = [
    ("not-a-token", Refusal::Token(TokenRejection::Malformed)),
    ("alg-none", Refusal::Token(TokenRejection::Algorithm)),
    ("forged", Refusal::Token(TokenRejection::Signature)),
    ("expired", Refusal::Token(TokenRejection::Expired)),
    ("early", Refusal::Token(TokenRejection::Immature)),
    ("a-sandboxes", Refusal::Token(TokenRejection::Type)),
    ("version-2", Refusal::Token(TokenRejection::Version)),
    ("of-staging", Refusal::Token(TokenRejection::Environment)),
    ("bare", Refusal::Token(TokenRejection::Claims)),
    ("rotated", Refusal::Holder { user: "alice", pepper: Some("old pepper") }),
    ("without-pepper", Refusal::Holder { user: "alice", pepper: None }),
    ("with-needless-pepper", Refusal::Holder { user: "carol", pepper: Some("pepper") }),
    ("of-a-stranger", Refusal::Holder { user: "mallory", pepper: Some("pepper of mallory") }),
    ("of-a-stranger-without-pepper", Refusal::Holder { user: "mallory", pepper: None }),
];

#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// The token does not verify.
    Token(TokenRejection),
    /// The token verifies, but does not match the known user.
    Holder { user: &'static str, pepper: Option<&'static str> },
}

struct Tokens;

impl UserTokens for Tokens {
    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenRejection> {
        let holder = |user: &str, pepper: Option<&str>| VerifiedToken {
            user: user.parse().unwrap(),
            pepper: pepper.map(Into::into),
        };
        match REFUSED.iter().find(|(text, _)| *text == token) {
            Some((_, Refusal::Token(rejection))) => Err(*rejection),
            Some((_, Refusal::Holder { user, pepper })) => Ok(holder(user, *pepper)),
            None if token == ALICE => Ok(holder("alice", Some("pepper of alice"))),
            None if token == BOB => Ok(holder("bob", Some("pepper of bob"))),
            None => Err(TokenRejection::Malformed),
        }
    }
}

struct People;

#[async_trait]
impl Users for People {
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let pepper = match id.as_str() {
            name @ ("alice" | "bob") => Some(format!("pepper of {name}").into()),
            "carol" => None,
            _ => return Ok(None),
        };
        Ok(Some(User { id: id.clone(), pepper }))
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
            batching: true,
            max_batch_size: 10,
            time_limit: Duration::from_secs(20),
            stream_ping: None,
        },
        allowed_origins: Vec::new(),
        readiness_limit: Duration::from_millis(200),
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
        users: Arc::new(People),
        readiness: Arc::new(Ready),
        tasks: TaskTracker::new(),
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
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}
