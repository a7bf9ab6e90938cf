//! The reasons to reject a token.

use gastown_domain::ports::TokenRejection;
use thiserror::Error;

/// The reason to reject a token. It is meant for logs and metrics, not for the caller.
///
/// No variant contains a part of the token, and there is no source, because parsers quote their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The token is longer than any valid one.
    #[error("token of {got} bytes is too long")]
    TooLong {
        /// The length in bytes.
        got: usize,
    },
    /// The token is not three parts of base64url, or its claims are not an object of unique names.
    #[error("token is malformed")]
    Malformed,
    /// The header is unreadable, names another algorithm than HS256 (such as `none`), or requires an extension.
    #[error("token does not have a plain HS256 header")]
    Header,
    /// The signature matches no key.
    #[error("token signature matches no key")]
    Signature,
    /// A required claim is missing.
    #[error("token has no claim {claim}")]
    MissingClaim {
        /// Its name.
        claim: &'static str,
    },
    /// A claim that a rule uses has an invalid value or type.
    #[error("token has an invalid claim {claim}")]
    InvalidClaim {
        /// Its name.
        claim: &'static str,
    },
    /// The token is of another kind, such as a gateway token instead of a user's token.
    #[error("token is of another type")]
    Type,
    /// The token names an audience. Valid tokens have none.
    #[error("token is meant for another audience")]
    Audience,
    /// The claims have another version.
    #[error("token has another version")]
    Version,
    /// The token was minted in another environment, such as staging, with the same key.
    #[error("token belongs to another environment")]
    Environment,
    /// The token has expired.
    #[error("token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("token is not valid yet")]
    Early,
}

impl From<Rejection> for TokenRejection {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::TooLong { .. } | Rejection::Malformed => Self::Malformed,
            Rejection::Header => Self::Algorithm,
            Rejection::Signature => Self::Signature,
            Rejection::MissingClaim { .. } | Rejection::InvalidClaim { .. } => Self::Claims,
            Rejection::Type | Rejection::Audience => Self::Type,
            Rejection::Version => Self::Version,
            Rejection::Environment => Self::Environment,
            Rejection::Expired => Self::Expired,
            Rejection::Early => Self::Immature,
        }
    }
}
