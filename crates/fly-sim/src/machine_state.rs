//! The states of a machine.

use std::fmt;

/// The state of a machine, in Fly's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are Fly's states")]
pub enum State {
    Created,
    Starting,
    Started,
    Stopping,
    Stopped,
    Restarting,
    Suspending,
    Suspended,
    Replacing,
    Failed,
    LaunchFailed,
    Destroying,
    Destroyed,
}

impl State {
    /// Returns Fly's name of the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Restarting => "restarting",
            Self::Suspending => "suspending",
            Self::Suspended => "suspended",
            Self::Replacing => "replacing",
            Self::Failed => "failed",
            Self::LaunchFailed => "launch_failed",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
        }
    }

    /// Returns true if the machine is destroyed or will be destroyed without another call.
    pub(crate) fn is_destroyed_or_destroying(self) -> bool {
        matches!(self, Self::LaunchFailed | Self::Destroying | Self::Destroyed)
    }

    /// Returns true if `destroy` is refused without force.
    pub(crate) fn needs_force(self) -> bool {
        !matches!(
            self,
            Self::Stopped
                | Self::Suspended
                | Self::Failed
                | Self::LaunchFailed
                | Self::Created
                | Self::Destroying
                | Self::Destroyed
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
