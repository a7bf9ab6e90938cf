//! What sandboxes call home for.

use async_trait::async_trait;
use secrecy::SecretString;

use super::{GatewayToken, StoreError};
use crate::{Failure, TownId};

/// Why a sandbox's call is refused.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The key is not the town's, or there is no such living town: not told apart.
    #[error("the key is not the town's")]
    Unauthorized,
    /// A token could not be made.
    #[error("no token could be made")]
    NoToken(Failure),
    /// The registry.
    #[error("the registry failed")]
    Store(#[source] StoreError),
}

/// The calls of sandboxes. Each is bound to the town's own key and its row; none changes a town's status (FM-36).
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait HomeCalls: Send + Sync {
    /// Records a sign of life, by our clock.
    async fn heartbeat(&self, town: TownId, key: SecretString) -> Result<(), HomeError>;

    /// A fresh gateway token for a living town.
    async fn refresh_token(&self, town: TownId, key: SecretString) -> Result<GatewayToken, HomeError>;
}
