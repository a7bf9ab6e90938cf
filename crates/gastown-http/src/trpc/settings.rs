use std::time::Duration;

/// The limits of a request.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// True if `batch=1` is accepted.
    pub batching: bool,
    /// The most calls in one request.
    pub max_batch_size: usize,
    /// The time-out of each call, answered with `TIMEOUT`.
    pub time_limit: Duration,
    /// The longest silence of a streamed answer before a space is sent. `None`: no spaces are sent.
    pub stream_ping: Option<Duration>,
}
