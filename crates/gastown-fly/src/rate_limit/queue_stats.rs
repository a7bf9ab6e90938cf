//! The state of a queue, for logs.

use std::time::Duration;

use crate::api::Action;

/// The calls that wait for one of Fly's rate limits, in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// The action of the calls.
    pub action: Action,
    /// The machine or app that Fly counts them against, or empty for calls on no app.
    pub subject: String,
    /// Number of waiting foreground calls.
    pub foreground: usize,
    /// Number of waiting background calls, which go last.
    pub background: usize,
    /// How long the oldest of them has waited.
    pub waited: Duration,
    /// How long the last of them will still wait, if no foreground call arrives.
    pub remaining: Duration,
}
