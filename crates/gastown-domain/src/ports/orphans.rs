//! Orphan records: one row for each resource at the provider that no town's row accounts for.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::text_enum::text_enum;
use crate::{AppName, InventoryItem, OrphanReason, Recorded, ResourceId, TownRecord, TownTag};

/// An orphan, as one sweep observed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedOrphan {
    /// The app of the resource.
    pub app: AppName,
    /// The resource.
    pub item: InventoryItem,
    /// The reason why no row accounts for it.
    pub reason: OrphanReason,
}

/// An orphan record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The app of the resource.
    pub app: AppName,
    /// The id of the resource.
    pub resource: ResourceId,
    /// The name at the provider.
    pub name: String,
    /// The reason why no row accounts for it.
    pub reason: Recorded<OrphanReason>,
    /// The first sweep that observed it with this reason, by the database's clock. A new reason starts anew.
    pub first_seen_at: DateTime<Utc>,
    /// The last sweep that observed it.
    pub last_seen_at: DateTime<Utc>,
    /// The number of sweeps that observed it.
    pub times_seen: u32,
    /// The time of the first request to delete it.
    pub deletion_asked_at: Option<DateTime<Utc>>,
}

text_enum! {
    expected "a known end of an orphan";
    /// The reason for closing an orphan record.
    pub enum OrphanEnd {
        /// A row accounts for the resource again.
        AccountedFor = "accounted_for",
        /// The absence of the resource is proven.
        Gone = "gone",
    }
}

/// The orphan records.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Orphans: Send + Sync {
    /// Returns the records of all towns that match one of these tags, live and tombstones, in no order.
    async fn town_records(&self, tags: &[TownTag]) -> Result<Vec<TownRecord>, StoreError>;

    /// Records what a sweep observed and returns the records. A record whose reason changed starts anew.
    async fn record_seen(&self, seen: &[ObservedOrphan]) -> Result<Vec<Orphan>, StoreError>;

    /// Returns every orphan record, oldest first, and the database's time.
    async fn list(&self) -> Result<(Vec<Orphan>, DateTime<Utc>), StoreError>;

    /// Records that an orphan is about to be deleted. Called before the request to the provider.
    ///
    /// `actor` decided on the deletion. If the town exists, its history gets an event.
    async fn log_deletion(&self, app: &AppName, resource: &ResourceId, actor: &str) -> Result<(), StoreError>;

    /// Closes an orphan record.
    async fn close(&self, app: &AppName, resource: &ResourceId, end: OrphanEnd) -> Result<(), StoreError>;
}
