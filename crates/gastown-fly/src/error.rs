//! What a call to Fly can end in. Never holds the token or a body of Fly's.

use std::time::Duration;

use crate::{
    api::Action,
    refusal::Refusal,
    transport::{Cause, TransportError},
};

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum FlyError {
    /// Fly answered no.
    #[error("Fly did not {action}: {refusal} (status {status}, request {})", request_id.as_deref().unwrap_or("unnamed"))]
    Refused {
        /// What was tried.
        action: Action,
        /// Why, as far as a caller can act on it.
        refusal: Refusal,
        /// The HTTP status.
        status: u16,
        /// Fly's name for the request.
        request_id: Option<String>,
    },
    /// Fly could not be reached: nothing was done.
    #[error("could not {action}")]
    NotSent {
        /// What was tried.
        action: Action,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The answer was lost or cannot be read: a write may have been done.
    #[error("cannot tell whether Fly did {action}")]
    Lost {
        /// What was tried.
        action: Action,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The client's own limiter would hold the call back for too long: nothing was sent.
    #[error("held back by the client's own rate limit, did not {action}")]
    HeldBack {
        /// What was tried.
        action: Action,
        /// When there is room again.
        retry_after: Duration,
    },
}

impl FlyError {
    /// What was tried.
    pub fn action(&self) -> Action {
        match self {
            Self::Refused { action, .. }
            | Self::NotSent { action, .. }
            | Self::Lost { action, .. }
            | Self::HeldBack { action, .. } => *action,
        }
    }

    /// Why Fly said no, where it did.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::NotSent { .. } | Self::Lost { .. } | Self::HeldBack { .. } => None,
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
