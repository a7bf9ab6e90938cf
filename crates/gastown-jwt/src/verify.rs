//! Verifies tokens: one fixed algorithm, required claims, and the time of the injected clock.

use std::fmt;
use std::sync::Arc;

use chrono::TimeDelta;
use gastown_domain::ports::{Clock, GatewayGrant, TokenRejection, UserTokens, VerifiedToken};
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, crypto, decode_header};
use serde_json::Value;

use crate::claims::{GATEWAY_TYPE, ReadClaims, VERSION, numeric_date, required, text};
use crate::keys::TokenKeys;
use crate::rejection::Rejection;

/// The longest token whose signature is checked. Valid tokens have a few hundred bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The largest accepted difference between the clocks of the minter and of this machine.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// Verifies tokens of users, and gateway tokens for services that accept them.
#[derive(Clone)]
pub struct TokenVerifier {
    keys: TokenKeys,
    clock: Arc<dyn Clock>,
    env: Option<String>,
    leeway: TimeDelta,
}

impl TokenVerifier {
    /// Creates a verifier that accepts tokens of every environment, with a leeway of 5 seconds.
    pub fn new(keys: TokenKeys, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock, env: None, leeway: LEEWAY }
    }

    /// Rejects tokens that name another environment. A token that names none is accepted.
    #[must_use]
    pub fn in_env(self, env: impl Into<String>) -> Self {
        Self { env: Some(env.into()), ..self }
    }

    /// Sets how long after `exp` and before `nbf` tokens are accepted.
    #[must_use]
    pub fn with_leeway(self, leeway: TimeDelta) -> Self {
        Self { leeway, ..self }
    }

    /// Verifies a user's token, which must not have a `type`. The port [`UserTokens`] does the same with fewer reasons.
    pub fn verify_user(&self, token: &str) -> Result<VerifiedToken, Rejection> {
        let claims = self.read(token)?;
        if claims.kind.is_some() {
            return Err(Rejection::Type);
        }
        self.user_of(claims)
    }

    /// Verifies a gateway token, as the gateway does.
    pub fn verify_gateway(&self, token: &str) -> Result<GatewayGrant, Rejection> {
        let mut claims = self.read(token)?;
        if claims.kind.as_ref().and_then(|kind| kind.as_str()) != Some(GATEWAY_TYPE) {
            return Err(Rejection::Type);
        }
        let subject = text("sub", required("sub", claims.sub.take())?)?;
        let town = text("town_id", required("town_id", claims.town_id.take())?)?;
        let town = town.parse().map_err(|_| Rejection::InvalidClaim { claim: "town_id" })?;
        let organization = claims.organization_id.take().map(|id| text("organization_id", id)).transpose()?;
        let VerifiedToken { user, pepper } = self.user_of(claims)?;
        if subject != user.as_str() {
            return Err(Rejection::InvalidClaim { claim: "sub" });
        }
        Ok(GatewayGrant { user, town, organization, pepper })
    }

    /// Checks header and signature, and reads the claims. No claim is read before the signature is valid.
    fn read(&self, token: &str) -> Result<ReadClaims, Rejection> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Rejection::TooLong { got: token.len() });
        }
        match decode_header(token) {
            // RFC 7515, 4.1.11: an extension marked critical and not understood makes the token invalid.
            Ok(header) if header.alg == Algorithm::HS256 && header.crit.is_none() => {}
            Err(error) if matches!(error.kind(), ErrorKind::InvalidToken) => return Err(Rejection::Malformed),
            _ => return Err(Rejection::Header),
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
        for key in self.keys.verifying() {
            match crypto::verify(signature, message.as_bytes(), key, Algorithm::HS256) {
                // The library judges registered claims that no rule uses, so it only decodes them.
                Ok(true) => return insecure_decode_claims(token).map_err(|_| Rejection::Malformed),
                Ok(false) => {}
                Err(_) => return Err(Rejection::Malformed),
            }
        }
        Err(Rejection::Signature)
    }

    /// Checks the claims that both kinds of token share.
    fn user_of(&self, claims: ReadClaims) -> Result<VerifiedToken, Rejection> {
        if claims.aud.is_some() {
            return Err(Rejection::Audience);
        }
        let version = required("version", claims.version)?;
        if !version.is_number() {
            return Err(Rejection::InvalidClaim { claim: "version" });
        }
        if version.as_i64() != Some(VERSION) {
            return Err(Rejection::Version);
        }
        if let (Some(theirs), Some(ours)) = (claims.env, &self.env)
            && text("env", theirs)? != *ours
        {
            return Err(Rejection::Environment);
        }
        self.check_times(&required("exp", claims.exp)?, claims.nbf.as_ref())?;
        let user = text("kiloUserId", required("kiloUserId", claims.user_id)?)?;
        let user = user.parse().map_err(|_| Rejection::InvalidClaim { claim: "kiloUserId" })?;
        let pepper = match required("apiTokenPepper", claims.pepper)? {
            Value::Null => None,
            pepper => Some(text("apiTokenPepper", pepper)?.into()),
        };
        Ok(VerifiedToken { user, pepper })
    }

    fn check_times(&self, exp: &Value, nbf: Option<&Value>) -> Result<(), Rejection> {
        let now = i128::from(self.clock.now().timestamp_micros());
        let leeway = i128::from(self.leeway.num_seconds()) * 1_000_000;
        if now >= numeric_date("exp", exp)? + leeway {
            return Err(Rejection::Expired);
        }
        match nbf {
            Some(nbf) if now + leeway < numeric_date("nbf", nbf)? => Err(Rejection::Early),
            _ => Ok(()),
        }
    }
}

impl UserTokens for TokenVerifier {
    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenRejection> {
        self.verify_user(token).map_err(TokenRejection::from)
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("keys", &self.keys).field("env", &self.env).finish_non_exhaustive()
    }
}
