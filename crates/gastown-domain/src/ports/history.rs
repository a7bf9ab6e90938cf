//! The removal of old history.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// Removal of old history, in batches. Ages count by the database's clock.
///
/// Keeps the history of towns with an operation in flight, and each resource id of a row.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait History: Send + Sync {
    /// Deletes at most `limit` events that are older than `age`, of towns without an operation in flight. Returns their
    /// number.
    async fn delete_events(&self, age: Duration, limit: u32) -> Result<u64, StoreError>;

    /// Removes at most `limit` idempotency keys that are older than `age`. Their events stay. Returns their number.
    async fn forget_keys(&self, age: Duration, limit: u32) -> Result<u64, StoreError>;

    /// Removes configuration and rigs of at most `limit` towns that were destroyed longer than `age` ago, without resources
    /// and without an operation in flight. Their rows stay. Returns their number.
    async fn empty_tombstones(&self, age: Duration, limit: u32) -> Result<u64, StoreError>;
}
