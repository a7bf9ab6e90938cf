//! Verifies tokens: one fixed algorithm, required claims, and the time of the injected clock.

use std::fmt;
use std::sync::Arc;

use chrono::TimeDelta;
use gastown_domain::ports::{Clock, GatewayGrant, TokenRejection, UserTokens, VerifiedToken};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use secrecy::SecretString;

use crate::claims::{GATEWAY_TYPE, ReadClaims, VERSION};
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
        let subject = claims.sub.take().ok_or(Rejection::MissingClaim { claim: "sub" })?;
        let town = claims.town_id.take().ok_or(Rejection::MissingClaim { claim: "town_id" })?;
        let town = town.parse().map_err(|_| Rejection::InvalidClaim { claim: "town_id" })?;
        let organization = claims.organization_id.take();
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
        let validation = signature_only();
        for key in self.keys.verifying() {
            match decode::<ReadClaims>(token, key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
                Err(_) => return Err(Rejection::Malformed),
            }
        }
        Err(Rejection::Signature)
    }

    /// Checks the claims that both kinds of token share.
    fn user_of(&self, claims: ReadClaims) -> Result<VerifiedToken, Rejection> {
        let missing = |claim| Rejection::MissingClaim { claim };
        if claims.aud.is_some() {
            return Err(Rejection::Audience);
        }
        if claims.version.ok_or(missing("version"))? != VERSION {
            return Err(Rejection::Version);
        }
        if let (Some(theirs), Some(ours)) = (&claims.env, &self.env)
            && theirs != ours
        {
            return Err(Rejection::Environment);
        }
        self.check_times(claims.exp.ok_or(missing("exp"))?, claims.nbf)?;
        let user = claims.user_id.ok_or(missing("kiloUserId"))?;
        let user = user.parse().map_err(|_| Rejection::InvalidClaim { claim: "kiloUserId" })?;
        let pepper = claims.pepper.ok_or(missing("apiTokenPepper"))?;
        Ok(VerifiedToken { user, pepper: pepper.0.map(SecretString::from) })
    }

    /// Compares in whole seconds, because `exp`, `nbf` and the leeway have no fractions.
    fn check_times(&self, exp: i64, nbf: Option<i64>) -> Result<(), Rejection> {
        let (now, leeway) = (self.clock.now().timestamp(), self.leeway.num_seconds());
        if now >= exp.saturating_add(leeway) {
            return Err(Rejection::Expired);
        }
        match nbf {
            Some(nbf) if now.saturating_add(leeway) < nbf => Err(Rejection::Early),
            _ => Ok(()),
        }
    }
}

impl UserTokens for TokenVerifier {
    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenRejection> {
        self.verify_user(token).map_err(TokenRejection::from)
    }
}

/// Returns a validation of HS256 only. This crate checks the claims, because the library reads the system's clock.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("keys", &self.keys).field("env", &self.env).finish_non_exhaustive()
    }
}
