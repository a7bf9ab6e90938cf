//! The interface to the network: one method, so that the rest of the crate is tested without a socket.

use std::time::Duration;

use async_trait::async_trait;

use crate::api::Call;

/// Sends one call to Fly and returns its answer. Tries once, and enforces deadlines and size limits.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends the call and reads the whole answer, whatever its status.
    async fn send(&self, call: &Call) -> Result<Reply, TransportError>;
}

/// An answer of Fly, not yet classified.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The pause that `Retry-After` asks for.
    pub retry_after: Option<Duration>,
    /// Fly's id of the request (`fly-request-id`), which Fly's support asks for.
    pub request_id: Option<String>,
    /// The body. The transport limits its size.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    /// Leaves the body out, because it may echo an environment.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("request_id", &self.request_id)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// A call without an answer. The causes never hold the token or a body.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection was made. The request cannot have been applied.
    #[error("Fly cannot be reached")]
    NotSent {
        /// The connector's error.
        #[source]
        cause: Cause,
    },
    /// The request was sent and no complete answer came back. It may have been applied.
    #[error("Fly's answer was lost")]
    Lost {
        /// The connection's error.
        #[source]
        cause: Cause,
    },
    /// The answer exceeds the size limit. The request may have been applied.
    #[error("Fly's answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The call cannot be made into a request, because a segment of its path is empty or dotted.
    #[error("the call does not make a request")]
    Malformed,
}

/// The cause of a transport error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
