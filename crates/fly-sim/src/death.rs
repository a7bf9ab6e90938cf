//! The ways in which a machine can be killed.

use serde::{Deserialize, Serialize};

/// A way in which a machine can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// The machine is `stopped` after an exit event. The restart policy does not apply.
    #[default]
    #[serde(rename = "stays")]
    Stopped,
    /// The process is killed and the restart policy applies.
    Process,
    /// The machine is destroyed without a call. Its volume is kept.
    Destroyed,
    /// The launch fails: the machine is `launch_failed`, then destroyed. Its volume is kept.
    LaunchFailed,
    /// The machine is removed without a trace, and its id is unknown, as long after a destroy.
    Forgotten,
}
