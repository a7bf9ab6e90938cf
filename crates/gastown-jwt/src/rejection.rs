//! Why a token is refused.

use gastown_domain::ports::TokenRejection;
use thiserror::Error;

/// Why a token is refused. The caller learns only that it is; the reason is for logs and metrics.
///
/// No variant carries a piece of the token, not even through a source: parsers quote what they stumble over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Longer than any token of ours.
    #[error("token of {got} bytes is too long")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// Not three parts of base64url, or not claims of the right types inside.
    #[error("token is malformed")]
    Malformed,
    /// The header is unreadable, names another algorithm than HS256 (`none`, for one), or demands an extension.
    #[error("token's header is not that of a plain HS256 token")]
    Header,
    /// Signed with none of the keys.
    #[error("token's signature matches no key")]
    Signature,
    /// A claim that must be there is not.
    #[error("token lacks the claim {claim}")]
    MissingClaim {
        /// Its name.
        claim: &'static str,
    },
    /// A claim is there with a value that cannot be right.
    #[error("token has an impossible claim {claim}")]
    ImpossibleClaim {
        /// Its name.
        claim: &'static str,
    },
    /// A gateway token, a stream ticket or the like where a user's token is wanted, or the other way round.
    #[error("token is of another type")]
    Type,
    /// Meant for an audience; ours have none.
    #[error("token is meant for another audience")]
    Audience,
    /// Another version of the claims.
    #[error("token has another version")]
    Version,
    /// Minted in another environment (staging, for one) with the same key.
    #[error("token is of another environment")]
    Environment,
    /// Its time is over.
    #[error("token has expired")]
    Expired,
    /// Its time has not come.
    #[error("token is not valid yet")]
    Early,
}

impl From<Rejection> for TokenRejection {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::TooLong { .. } | Rejection::Malformed => Self::Malformed,
            Rejection::Header => Self::Algorithm,
            Rejection::Signature => Self::Signature,
            Rejection::MissingClaim { .. } | Rejection::ImpossibleClaim { .. } => Self::Claims,
            Rejection::Type | Rejection::Audience => Self::Type,
            Rejection::Version => Self::Version,
            Rejection::Environment => Self::Environment,
            Rejection::Expired => Self::Expired,
            Rejection::Early => Self::Immature,
        }
    }
}
