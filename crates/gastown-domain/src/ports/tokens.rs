//! Tokens: created for sandboxes, and verified for users.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::BoxError;
use crate::{TownId, UserId};

/// A token with which a sandbox calls the gateway.
#[derive(Debug, Clone)]
pub struct GatewayToken {
    /// The token.
    pub token: SecretString,
    /// The expiry.
    pub expires_at: DateTime<Utc>,
}

/// A token that could not be created.
#[derive(Debug, thiserror::Error)]
#[error("failed to create token")]
pub struct MintError {
    /// The error of the signer.
    #[source]
    pub cause: BoxError,
}

/// The claims of a gateway token.
///
/// Its `api_token_pepper` is the owner's, so changing the pepper revokes the token.
#[derive(Debug, Clone)]
pub struct GatewayGrant {
    /// The owner.
    pub user: UserId,
    /// The town.
    pub town: TownId,
    /// The organization, if there is one.
    pub organization: Option<String>,
    /// The owner's pepper.
    pub pepper: Option<SecretString>,
}

/// Creates gateway tokens.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait TokenMint: Send + Sync {
    /// Creates a token. Several may be valid at once (FM-38).
    fn mint(&self, grant: &GatewayGrant) -> Result<GatewayToken, MintError>;
}

/// A verified token of a user. Its pepper still has to be compared with that of the user.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    /// The user.
    pub user: UserId,
    /// The pepper in the token.
    pub pepper: Option<SecretString>,
}

impl VerifiedToken {
    /// Returns true if the token carries this pepper. Compares in constant time. Two absent peppers are equal.
    pub fn has_pepper(&self, current: Option<&SecretString>) -> bool {
        match (&self.pepper, current) {
            (Some(own), Some(current)) => {
                bool::from(own.expose_secret().as_bytes().ct_eq(current.expose_secret().as_bytes()))
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// The reason why a user's token was rejected. For logs only, never returned to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRejection {
    /// The text is not a token.
    #[error("not a token")]
    Malformed,
    /// The algorithm is not HS256.
    #[error("wrong algorithm")]
    Algorithm,
    /// The token was signed with another key, or altered.
    #[error("wrong signature")]
    Signature,
    /// The token has expired.
    #[error("expired")]
    Expired,
    /// The token is not valid yet.
    #[error("not valid yet")]
    Immature,
    /// The token has a `type`, so it belongs to a sandbox or a ticket and not to a user.
    #[error("not a user's token")]
    Type,
    /// The version is not 3.
    #[error("wrong version")]
    Version,
    /// The token was issued for another environment.
    #[error("wrong environment")]
    Environment,
    /// A required claim is missing or malformed.
    #[error("missing claim")]
    Claims,
}

/// Verifies users' tokens.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait UserTokens: Send + Sync {
    /// Checks everything except the pepper, which needs the database.
    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenRejection>;
}
