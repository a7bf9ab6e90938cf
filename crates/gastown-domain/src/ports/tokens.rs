//! Tokens: minted for sandboxes, verified from users.

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::BoxError;
use crate::{TownId, UserId};

/// A token a sandbox calls the gateway with.
#[derive(Debug, Clone)]
pub struct GatewayToken {
    /// The token.
    pub token: SecretString,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// A token could not be minted.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be minted")]
pub struct MintError {
    /// What the signer says.
    #[source]
    pub cause: BoxError,
}

/// What a gateway token says. Its `api_token_pepper` is the owner's, so that rotating it revokes the token.
#[derive(Debug, Clone)]
pub struct GatewayGrant {
    /// The owner.
    pub user: UserId,
    /// The town.
    pub town: TownId,
    /// The organization, where there is one.
    pub organization: Option<String>,
    /// The owner's pepper.
    pub pepper: Option<SecretString>,
}

/// Mints gateway tokens.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait TokenMint: Send + Sync {
    /// A fresh token. Several may be valid at once (FM-38).
    fn mint(&self, grant: &GatewayGrant) -> Result<GatewayToken, MintError>;
}

/// A user's token that was verified; its pepper is yet to be compared with the user's.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    /// Whose it is.
    pub user: UserId,
    /// The pepper it was issued with.
    pub pepper: Option<SecretString>,
}

/// Why a user's token is not taken. For logs; callers are told nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRejection {
    /// It is not a token.
    #[error("not a token")]
    Malformed,
    /// Another algorithm than HS256.
    #[error("wrong algorithm")]
    Algorithm,
    /// Signed with another key, or altered.
    #[error("wrong signature")]
    Signature,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It is not valid yet.
    #[error("not valid yet")]
    Immature,
    /// It carries a `type`: a sandbox's or a ticket's, never a user's.
    #[error("not a user's token")]
    Type,
    /// Another version than 3.
    #[error("wrong version")]
    Version,
    /// Issued for another environment.
    #[error("wrong environment")]
    Environment,
    /// A required claim is missing or malformed.
    #[error("missing claim")]
    Claims,
}

/// Verifies users' tokens.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait UserTokens: Send + Sync {
    /// Checks everything that can be checked without the database.
    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenRejection>;
}
