//! The API of a sandbox.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::BoxError;
use crate::{AppName, Branch, HealthReason, MachineId, RigName, SandboxRig, TownId};

/// The address of a sandbox and the keys that it may accept.
///
/// Calls are pinned to the machine, so that no other town's sandbox receives the key (FM-35).
#[derive(Debug, Clone)]
pub struct SandboxAddress {
    /// The app.
    pub app: AppName,
    /// The machine.
    pub machine: MachineId,
    /// The town that the sandbox must identify as.
    pub town: TownId,
    /// The town's internal API keys. A key is tried only after the one before it was refused.
    pub keys: Vec<SecretString>,
}

/// A failed call to a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There was no answer, or a proxy answered. The call may have been applied.
    #[error("sandbox is unreachable")]
    Unreachable {
        /// The error of the transport.
        #[source]
        cause: BoxError,
    },
    /// The answer is invalid, too large, or from another town.
    #[error("sandbox returned an invalid response")]
    Wrong {
        /// The defect of the answer.
        #[source]
        cause: BoxError,
    },
    /// The sandbox refused the town's key.
    #[error("sandbox refused the town's key")]
    Unauthorized,
    /// The sandbox reports that it is unhealthy.
    #[error("sandbox is unhealthy: {}", reason.as_str())]
    Unhealthy {
        /// The part that does not work.
        reason: HealthReason,
    },
    /// The sandbox permanently refused the rig. The reason is the sandbox's own, sanitized, for the town's owner.
    #[error("sandbox refused the rig: {reason}")]
    Refused {
        /// At most 200 printable characters.
        reason: String,
    },
    /// The rig cannot be removed now without losing work.
    #[error("rig is in use: {}", in_the_way.join(", "))]
    InTheWay {
        /// The uses of the rig, at most ten short texts.
        in_the_way: Vec<String>,
    },
}

/// The sandboxes.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Sandboxes: Send + Sync {
    /// Checks that the sandbox answers, belongs to the town, and is healthy.
    async fn health(&self, at: &SandboxAddress) -> Result<(), SandboxError>;

    /// Checks the health of a sandbox that was told to restore its data from R2. Returns the time at which the restored data
    /// was saved, by the sandbox's clock, or `None` if it is healthy and has restored nothing.
    ///
    /// By default, no sandbox restores data.
    async fn restored(&self, at: &SandboxAddress) -> Result<Option<DateTime<Utc>>, SandboxError> {
        self.health(at).await.map(|()| None)
    }

    /// Returns the rigs of the sandbox.
    async fn rigs(&self, at: &SandboxAddress) -> Result<Vec<SandboxRig>, SandboxError>;

    /// Adds a rig. Succeeds if it exists with the same repository, so the call may be repeated.
    ///
    /// Returns the branch that it works on, where the sandbox tells it. For a rig without a branch it is the repository's
    /// default branch.
    async fn add_rig(&self, at: &SandboxAddress, rig: &SandboxRig) -> Result<Option<Branch>, SandboxError>;

    /// Removes a rig. Succeeds if it does not exist. `force` removes it even if work is lost.
    async fn remove_rig(&self, at: &SandboxAddress, rig: &RigName, force: bool) -> Result<(), SandboxError>;

    /// Syncs the town to R2 and returns the time of the confirmation, by the sandbox's clock.
    async fn sync(&self, at: &SandboxAddress) -> Result<DateTime<Utc>, SandboxError>;
}
