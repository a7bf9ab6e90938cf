//! Authentication of callers: a user by token, or a sandbox by its town's key. It runs before anything else of a call.

use std::sync::Arc;

use async_trait::async_trait;
use gastown_domain::{
    UserId,
    ports::{UserTokens, Users},
};
use http::{HeaderMap, header, request::Parts};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tracing::Span;

use crate::{
    failure::{store_error, unauthorized, wrong_key},
    headers::single,
    trpc::{CallError, Guard},
};

/// Admits users with a valid token, if they are known and the token has their current pepper.
pub(crate) struct UserGuard {
    tokens: Arc<dyn UserTokens>,
    users: Arc<dyn Users>,
}

impl UserGuard {
    pub(crate) fn new(tokens: Arc<dyn UserTokens>, users: Arc<dyn Users>) -> Self {
        Self { tokens, users }
    }
}

#[async_trait]
impl Guard for UserGuard {
    type Caller = UserId;

    async fn admit(&self, head: &Parts) -> Result<UserId, CallError> {
        let token = bearer(&head.headers).ok_or_else(unauthorized)?;
        let claimed = self.tokens.verify(token).map_err(|reason| {
            tracing::debug!(%reason, "token rejected");
            unauthorized()
        })?;
        let user = self.users.user(&claimed.user).await.map_err(|error| store_error(&error))?;
        match user {
            Some(user) if same(user.pepper.as_ref(), claimed.pepper.as_ref()) => {
                Span::current().record("user.id", user.id.as_str());
                Ok(user.id)
            }
            Some(_) | None => Err(unauthorized()),
        }
    }
}

/// Admits callers with a key. The operation verifies it, because the town's id is part of the input.
pub(crate) struct SandboxGuard;

#[async_trait]
impl Guard for SandboxGuard {
    type Caller = SecretString;

    async fn admit(&self, head: &Parts) -> Result<SecretString, CallError> {
        let key = single(&head.headers, "x-internal-api-key").filter(|key| !key.is_empty());
        key.map(SecretString::from).ok_or_else(wrong_key)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = single(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Compares two peppers in constant time. Two absent peppers are equal.
fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => bool::from(one.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes())),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use secrecy::SecretString;

    use super::{bearer, same};

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

    #[test]
    fn peppers_equal_only_themselves() {
        let [a, b] = ["a", "b"].map(SecretString::from);
        for (one, other, want) in
            [(Some(&a), Some(&a), true), (Some(&a), Some(&b), false), (Some(&a), None, false), (None, None, true)]
        {
            assert_eq!(same(one, other), want);
            assert_eq!(same(other, one), want);
        }
    }
}
