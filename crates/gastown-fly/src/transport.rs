//! The seam to the network: one method, so that everything above it is tested without a socket.

use std::time::Duration;

use async_trait::async_trait;

use crate::api::Call;

/// Carries one call to Fly and back. Tries once; time-outs and size limits are its duty.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends the call and reads the whole answer, whatever its status.
    async fn send(&self, call: &Call) -> Result<Reply, TransportError>;
}

/// An answer of Fly, unjudged.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What `Retry-After` asks for: in seconds, or as a date beside the answer's own.
    pub retry_after: Option<Duration>,
    /// Fly's name for the request (`fly-request-id`): what its support asks for.
    pub request_id: Option<String>,
    /// The body, bounded by the transport.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    /// Leaves the body out: it may echo an environment.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("request_id", &self.request_id)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What keeps an answer from arriving. The causes never hold the token or a body.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection came about: the request cannot have been applied.
    #[error("Fly cannot be reached")]
    NotSent {
        /// What the connector says.
        #[source]
        cause: Cause,
    },
    /// The request went out and no whole answer came back: it may or may not have been applied.
    #[error("Fly's answer was lost")]
    Lost {
        /// What the connection says.
        #[source]
        cause: Cause,
    },
    /// The answer is larger than what is read; the request may have been applied.
    #[error("Fly's answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The call cannot be put into a request: an empty or dotted path segment.
    #[error("the call does not make a request")]
    Malformed,
}

/// The cause below a transport error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
