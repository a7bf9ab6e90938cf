//! The API inside a sandbox.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::BoxError;
use crate::{AppName, MachineId, RigName, SandboxRig, TownId};

/// Where a sandbox is, and what it expects of us. Calls are pinned to the machine, so that no other town's sandbox ever
/// sees the key (FM-35).
#[derive(Debug, Clone)]
pub struct SandboxAddress {
    /// The app.
    pub app: AppName,
    /// The machine.
    pub machine: MachineId,
    /// The town that must answer.
    pub town: TownId,
    /// The town's internal API keys. A later one is tried only where the one before it was refused.
    pub keys: Vec<SecretString>,
}

/// A failed call to a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No answer, or an answer of a proxy: whether it was done is not known.
    #[error("the sandbox cannot be reached")]
    Unreachable {
        /// The transport's error.
        #[source]
        cause: BoxError,
    },
    /// It answers what it should not: another town, rubbish, too much.
    #[error("the sandbox answers wrongly")]
    Wrong {
        /// What was wrong.
        #[source]
        cause: BoxError,
    },
    /// It does not take the town's key.
    #[error("the sandbox refuses the town's key")]
    Unauthorized,
    /// It answers and says that it is not well.
    #[error("the sandbox says it is not healthy")]
    Unhealthy,
    /// It refuses the rig for good. The reason is the sandbox's own, cut and cleaned, for the town's owner to read.
    #[error("the sandbox refuses the rig: {reason}")]
    Refused {
        /// At most 200 printable characters.
        reason: String,
    },
    /// The rig cannot go now without losing work.
    #[error("something is in the rig's way: {}", in_the_way.join(", "))]
    InTheWay {
        /// What is in the way, at most ten short texts.
        in_the_way: Vec<String>,
    },
}

/// The sandboxes.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Sandboxes: Send + Sync {
    /// Whether the sandbox answers, is the right one, and is well.
    async fn health(&self, at: &SandboxAddress) -> Result<(), SandboxError>;

    /// The rigs it has.
    async fn rigs(&self, at: &SandboxAddress) -> Result<Vec<SandboxRig>, SandboxError>;

    /// Adds a rig. Safe to repeat: one that is there with the same repository is success.
    async fn add_rig(&self, at: &SandboxAddress, rig: &SandboxRig) -> Result<(), SandboxError>;

    /// Removes a rig; one that is gone is success. With `force` also when work would be lost.
    async fn remove_rig(&self, at: &SandboxAddress, rig: &RigName, force: bool) -> Result<(), SandboxError>;

    /// Syncs the town to R2 and answers when that was confirmed, by the sandbox's clock.
    async fn sync(&self, at: &SandboxAddress) -> Result<DateTime<Utc>, SandboxError>;
}
