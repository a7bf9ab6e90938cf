//! The news of changed rows, for those who watch towns.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::TownId;

/// Tells which towns may have changed, whichever process changed them. News may be lost, so watched towns are also read from
/// time to time.
#[async_trait]
pub trait TownChangeFeed: Send + Sync {
    /// Waits for the next news. One task calls it, again and again. `None`: news may have been lost, and any town may have
    /// changed.
    ///
    /// Errors: the source of news is lost. The next call waits before it tries again.
    async fn changed(&self) -> Result<Option<Vec<TownId>>, StoreError>;

    /// Returns how often watched towns are read without news.
    fn poll_interval(&self) -> Duration;
}
