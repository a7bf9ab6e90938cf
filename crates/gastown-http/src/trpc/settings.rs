use std::time::Duration;

use super::{admission::AdmissionLimits, subscription::WatcherLimits};

const MIB: usize = 1024 * 1024;

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
    /// The largest answer to a request of queries: the sum of its outputs, in bytes. A mutation that was made is also
    /// answered beyond it.
    pub max_answer_bytes: usize,
    /// The bytes of outputs that one user has not taken yet. Once they are reached, no call of the user starts.
    pub max_untaken_bytes: usize,
    /// The time-out of each call, answered with `TIMEOUT`.
    pub time_limit: Duration,
    /// The longest silence of a streamed answer before a space is sent. `None`: no spaces are sent.
    pub stream_ping: Option<Duration>,
    /// The queries at a time.
    pub reads: AdmissionLimits,
    /// The mutations at a time.
    pub changes: AdmissionLimits,
    /// The subscriptions.
    pub watchers: WatcherLimits,
}

impl Default for Settings {
    /// Returns the limits for production. The time of a call is 30 s more than the default wait for an operation.
    fn default() -> Self {
        Self {
            max_body_bytes: MIB,
            body_timeout: Duration::from_secs(30),
            batching: true,
            max_batch_size: 100,
            batch_concurrency: 4,
            max_answer_bytes: 8 * MIB,
            max_untaken_bytes: 32 * MIB,
            time_limit: Duration::from_secs(90),
            stream_ping: Some(Duration::from_secs(10)),
            reads: AdmissionLimits::READS,
            changes: AdmissionLimits::CHANGES,
            watchers: WatcherLimits::default(),
        }
    }
}
