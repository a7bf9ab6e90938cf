//! Authentication of callers: a user by token, or a sandbox by its town's key. It runs before anything else of a call.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;
use gastown_domain::ports::{Caller, UserTokens};
use http::{Extensions, HeaderMap, header, request::Parts};
use secrecy::{ExposeSecret as _, SecretString};
use tracing::Span;

use crate::{
    failure::{unauthorized, wrong_key},
    headers::single,
    trpc::{CallError, ConnectionParams, Guard},
};

/// Admits users with a verified token. The operation compares the token's pepper, so a bad token costs no statement.
pub(crate) struct UserGuard {
    tokens: Arc<dyn UserTokens>,
}

impl UserGuard {
    pub(crate) fn new(tokens: Arc<dyn UserTokens>) -> Self {
        Self { tokens }
    }
}

#[async_trait]
impl Guard for UserGuard {
    type Caller = Caller;

    async fn admit(&self, head: &Parts) -> Result<Caller, CallError> {
        let token = bearer(&head.headers).or_else(|| param(&head.extensions));
        let token = token.ok_or_else(|| unauthorized("no single bearer token"))?;
        let verified = self.tokens.verify(token).map_err(unauthorized)?;
        Span::current().record("user.id", verified.user.as_str());
        Ok(Caller::Token(verified))
    }

    fn share(&self, caller: &Caller) -> u64 {
        hashed(caller.user().as_str())
    }
}

/// The largest body of a sandbox's call, in bytes. Its key is verified only after the body is read.
const MAX_SANDBOX_BODY: usize = 16 * 1024;

/// Admits callers with a key. The operation verifies it, because the town's id is part of the input.
pub(crate) struct SandboxGuard;

#[async_trait]
impl Guard for SandboxGuard {
    type Caller = SecretString;

    async fn admit(&self, head: &Parts) -> Result<SecretString, CallError> {
        let key = single(&head.headers, "x-internal-api-key").filter(|key| !key.is_empty());
        key.map(SecretString::from).ok_or_else(|| wrong_key("no single internal API key"))
    }

    /// The key is not verified yet. Callers with wrong keys have shares of their own, and no operation.
    fn share(&self, key: &SecretString) -> u64 {
        hashed(key.expose_secret())
    }

    fn max_body_bytes(&self) -> Option<usize> {
        Some(MAX_SANDBOX_BODY)
    }
}

/// Returns a number that differs between processes. Two callers with the same number only share their limits.
fn hashed(identity: &str) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one(identity)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = single(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Returns the token of the connection parameters of a browser, which cannot set headers for a subscription.
fn param(extensions: &Extensions) -> Option<&str> {
    let ConnectionParams(params) = extensions.get()?;
    params.get("token").map(String::as_str).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::bearer;

    #[test]
    fn bearer_token_is_one_header_with_one_token() {
        for (values, want) in [
            (vec!["Bearer abc"], Some("abc")),
            (vec!["bearer  abc "], Some("abc")),
            (vec!["Basic abc"], None),
            (vec!["Bearer"], None),
            (vec!["Bearer  "], None),
            (vec!["abc"], None),
            (vec!["Bearer abc", "Bearer def"], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers), want, "{values:?}");
        }
    }
}
