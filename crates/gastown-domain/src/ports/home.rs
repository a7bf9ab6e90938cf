//! The calls that sandboxes make to the control plane.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::{GatewayToken, StoreError};
use crate::{Failure, SandboxReport, TownId};

/// A refused call of a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The key does not belong to the town, or there is no such live town. Callers cannot distinguish the two.
    #[error("key does not belong to the town")]
    Unauthorized,
    /// The town makes too many of these calls.
    #[error("too many calls of the town's sandbox")]
    TooManyCalls {
        /// The time after which the next one is accepted.
        retry_after: Duration,
    },
    /// Too many heartbeats wait for the registry.
    #[error("too many heartbeats wait for the registry")]
    Overloaded {
        /// The time after which there may be room.
        retry_after: Duration,
    },
    /// A token could not be created.
    #[error("failed to create token")]
    NoToken(Failure),
    /// The registry returned an error.
    #[error("registry failed")]
    Store(#[source] StoreError),
}

/// The calls of sandboxes.
///
/// Each is bound to the town's own key and row. None of them changes the status of a town (FM-36).
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait HomeCalls: Send + Sync {
    /// Accepts a heartbeat of a live town, received now by our clock. It is written soon, with those of other towns.
    ///
    /// `claimed_sync` is the time of the last sync to R2 as the sandbox says it.
    async fn heartbeat(
        &self,
        town: TownId,
        key: SecretString,
        report: SandboxReport,
        claimed_sync: Option<DateTime<Utc>>,
    ) -> Result<(), HomeError>;

    /// Returns a new gateway token for a live town.
    async fn refresh_token(&self, town: TownId, key: SecretString) -> Result<GatewayToken, HomeError>;
}
