use std::time::Duration;

use super::admission::AdmissionLimits;

/// The limits of a request.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// The longest time in which the body arrives, from the moment when the first call reads it.
    pub body_timeout: Duration,
    /// True if `batch=1` is accepted.
    pub batching: bool,
    /// The most calls in one request.
    pub max_batch_size: usize,
    /// The calls of one request that run at a time.
    pub batch_concurrency: usize,
    /// The largest answer to one request: the sum of its outputs, in bytes.
    pub max_answer_bytes: usize,
    /// The bytes of large outputs that one user has not taken yet.
    pub max_untaken_bytes: usize,
    /// The time-out of each call, answered with `TIMEOUT`.
    pub time_limit: Duration,
    /// The longest silence of a streamed answer before a space is sent. `None`: no spaces are sent.
    pub stream_ping: Option<Duration>,
    /// The queries at a time.
    pub reads: AdmissionLimits,
    /// The mutations at a time.
    pub changes: AdmissionLimits,
}
