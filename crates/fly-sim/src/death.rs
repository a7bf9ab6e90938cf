//! The ways in which a machine dies.

use serde::{Deserialize, Serialize};

/// How a machine dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// Killed for good: an exit event, then `stopped`; nothing starts it again by itself.
    #[default]
    Stays,
    /// The process is killed and the restart policy takes over.
    Process,
    /// Destroyed without anybody asking; its volume stays.
    Destroyed,
    /// Its launch fails: reads `launch_failed`, then destroys itself. Its volume stays.
    LaunchFailed,
    /// Gone without a trace, as after a long time: its id is unknown from now on.
    Forgotten,
}
