//! Mints gateway tokens for sandboxes, and user tokens for development.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::UserId;
use gastown_domain::ports::{Clock, GatewayGrant, GatewayToken, MintError, TokenMint};
use jsonwebtoken::{Algorithm, Header, encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use thiserror::Error;

use crate::claims::{GATEWAY_TYPE, GatewayClaims, TimedUserClaims, UserClaims, VERSION};
use crate::keys::TokenKeys;

/// The lifetime of a gateway token. Sandboxes refresh theirs well before its end.
const GATEWAY_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// Mints tokens with the signing secret and the injected clock.
#[derive(Clone)]
pub struct TokenMinter {
    keys: TokenKeys,
    clock: Arc<dyn Clock>,
    env: Option<String>,
    gateway_lifetime: TimeDelta,
}

impl TokenMinter {
    /// Creates a minter of gateway tokens that are valid for 24 hours and name no environment.
    pub fn new(keys: TokenKeys, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock, env: None, gateway_lifetime: GATEWAY_LIFETIME }
    }

    /// Sets the environment that every token names.
    #[must_use]
    pub fn in_env(self, env: impl Into<String>) -> Self {
        Self { env: Some(env.into()), ..self }
    }

    /// Sets the lifetime of gateway tokens.
    #[must_use]
    pub fn with_gateway_lifetime(self, gateway_lifetime: TimeDelta) -> Self {
        Self { gateway_lifetime, ..self }
    }

    /// Mints a user's token as the host application does, for development and tests.
    pub fn mint_user_token(
        &self,
        user: &UserId,
        pepper: Option<&SecretString>,
        lifetime: TimeDelta,
    ) -> Result<SecretString, MintError> {
        let (iat, expires_at) = self.window(lifetime)?;
        self.sign(&TimedUserClaims { iat, exp: expires_at.timestamp(), user: self.user_claims(user, pepper) })
    }

    /// Returns `iat` and the expiry, in whole seconds.
    fn window(&self, lifetime: TimeDelta) -> Result<(i64, DateTime<Utc>), MintError> {
        let iat = self.clock.now().timestamp();
        let end = iat.checked_add(lifetime.num_seconds()).and_then(|exp| DateTime::from_timestamp(exp, 0));
        let end = end.ok_or_else(|| MintError { cause: LifetimeTooLong { lifetime }.into() })?;
        Ok((iat, end))
    }

    fn user_claims<'a>(&'a self, user: &'a UserId, pepper: Option<&'a SecretString>) -> UserClaims<'a> {
        UserClaims {
            user_id: user.as_str(),
            pepper: pepper.map(SecretString::expose_secret),
            version: VERSION,
            env: self.env.as_deref(),
        }
    }

    fn sign(&self, claims: &impl Serialize) -> Result<SecretString, MintError> {
        let not_signed = |error: jsonwebtoken::errors::Error| MintError { cause: error.into() };
        let kid = Some(self.keys.key_id().map_err(not_signed)?);
        let header = Header { kid, ..Header::new(Algorithm::HS256) };
        encode(&header, claims, self.keys.signing()).map(SecretString::from).map_err(not_signed)
    }
}

impl TokenMint for TokenMinter {
    fn mint(&self, grant: &GatewayGrant) -> Result<GatewayToken, MintError> {
        let (iat, expires_at) = self.window(self.gateway_lifetime)?;
        let token = self.sign(&GatewayClaims {
            sub: grant.user.as_str(),
            kind: GATEWAY_TYPE,
            town_id: grant.town.to_string(),
            organization_id: grant.organization.as_deref(),
            iat,
            exp: expires_at.timestamp(),
            user: self.user_claims(&grant.user, grant.pepper.as_ref()),
        })?;
        Ok(GatewayToken { token, expires_at })
    }
}

impl fmt::Debug for TokenMinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMinter").field("keys", &self.keys).field("env", &self.env).finish_non_exhaustive()
    }
}

/// The token's expiry is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a lifetime of {} s is out of range", lifetime.num_seconds())]
pub struct LifetimeTooLong {
    /// The requested lifetime.
    pub lifetime: TimeDelta,
}
