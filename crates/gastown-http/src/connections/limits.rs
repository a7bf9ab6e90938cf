use std::time::Duration;

/// The limits of connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The most connections. A few more are taken for probes (see [`super::serve`]).
    pub max_connections: usize,
    /// The most connections of one address. An IPv6 address counts as its network of 64 bits.
    pub max_per_address: usize,
    /// The longest time from the first byte of a request to the end of its head. The first head of a connection counts from
    /// the start of the connection.
    pub head_timeout: Duration,
    /// The longest time without a request on a connection that had one.
    pub idle_timeout: Duration,
    /// The longest time in which a client reads less than [`super::MIN_PROGRESS`] of an answer that waits for it.
    pub write_timeout: Duration,
    /// The longest time of a request of HTTP/2, with its answer.
    pub stream_timeout: Duration,
}

impl Default for ConnectionLimits {
    /// Returns the limits for production. The time of a stream fits the default time of a call.
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_per_address: 2048,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            stream_timeout: Duration::from_secs(130),
        }
    }
}
