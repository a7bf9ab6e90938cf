//! The error of a call to Fly. Never holds the token or the body of an answer.

use std::time::Duration;

use crate::{
    api::Action,
    refusal::Refusal,
    transport::{Cause, TransportError},
};

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum FlyError {
    /// Fly refused the call.
    #[error(
        "failed to {action}: {refusal} (status {status}, request {})",
        request_id.as_deref().unwrap_or("unknown")
    )]
    Refused {
        /// The attempted action.
        action: Action,
        /// The reason, as far as a caller can act on it.
        refusal: Refusal,
        /// The HTTP status.
        status: u16,
        /// Fly's id of the request.
        request_id: Option<String>,
    },
    /// Fly could not be reached. Nothing was done.
    #[error("failed to {action}: the request was not sent")]
    NotSent {
        /// The attempted action.
        action: Action,
        /// The cause.
        #[source]
        cause: Cause,
    },
    /// The answer was lost or cannot be read. A write may have been applied.
    #[error("failed to {action}: no usable answer, the request may have been applied")]
    Lost {
        /// The attempted action.
        action: Action,
        /// The cause.
        #[source]
        cause: Cause,
    },
    /// The client's own rate limiter would delay the call for too long. Nothing was sent.
    #[error("failed to {action}: held back by the client's rate limiter")]
    RateLimited {
        /// The attempted action.
        action: Action,
        /// The expected wait.
        retry_after: Duration,
    },
}

impl FlyError {
    /// Returns the attempted action.
    pub fn action(&self) -> Action {
        match self {
            Self::Refused { action, .. }
            | Self::NotSent { action, .. }
            | Self::Lost { action, .. }
            | Self::RateLimited { action, .. } => *action,
        }
    }

    /// Returns the reason of a refusal, or `None` where Fly did not answer.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::NotSent { .. } | Self::Lost { .. } | Self::RateLimited { .. } => None,
        }
    }

    pub(crate) fn from_transport(action: Action, error: TransportError) -> Self {
        match error {
            TransportError::NotSent { .. } | TransportError::Malformed => {
                Self::NotSent { action, cause: Box::new(error) }
            }
            TransportError::Lost { .. } | TransportError::TooLarge { .. } => {
                Self::Lost { action, cause: Box::new(error) }
            }
        }
    }
}
