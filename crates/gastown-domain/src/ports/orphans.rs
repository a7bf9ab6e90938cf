//! The book of what was seen at Fly and no row accounts for: an orphan that costs money has a row here.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::text_enum::text_enum;
use crate::{AppName, InventoryItem, OrphanReason, ResourceId, TownRecord, TownTag};

/// An orphan, as a pass saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedOrphan {
    /// Where.
    pub app: AppName,
    /// What.
    pub item: InventoryItem,
    /// Why nobody accounts for it.
    pub reason: OrphanReason,
}

/// An orphan in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Where.
    pub app: AppName,
    /// What.
    pub resource: ResourceId,
    /// Its name at Fly.
    pub name: String,
    /// Why nobody accounts for it.
    pub reason: OrphanReason,
    /// When a pass first saw it as an orphan, by the database's clock. Seen as something else in between, it begins anew.
    pub first_seen_at: DateTime<Utc>,
    /// When a pass last saw it.
    pub last_seen_at: DateTime<Utc>,
    /// In how many passes.
    pub times_seen: u32,
    /// When its deletion was first asked for.
    pub deletion_asked_at: Option<DateTime<Utc>>,
}

text_enum! {
    expected "a known end of an orphan";
    /// How an orphan leaves the book.
    pub enum OrphanEnd {
        /// A row accounts for it again.
        AccountedFor = "accounted_for",
        /// It is proven gone.
        Gone = "gone",
    }
}

/// The book of orphans.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Orphans: Send + Sync {
    /// The rows of the towns that these tags name, living and tombstones, in no order; tags of no town are left out.
    async fn town_records(&self, tags: &[TownTag]) -> Result<Vec<TownRecord>, StoreError>;

    /// Writes down what a pass saw and answers the book's entries of it. One whose reason changed begins anew.
    async fn record_seen(&self, seen: &[ObservedOrphan]) -> Result<Vec<Orphan>, StoreError>;

    /// Every orphan in the book, oldest first, and the database's time.
    async fn list(&self) -> Result<(Vec<Orphan>, DateTime<Utc>), StoreError>;

    /// Writes down, before it is asked for, that an orphan's deletion is. `actor` is who decided it; an event of the town
    /// says so where there is such a town.
    async fn log_deletion(&self, app: &AppName, resource: &ResourceId, actor: &str) -> Result<(), StoreError>;

    /// Takes an orphan out of the book.
    async fn close(&self, app: &AppName, resource: &ResourceId, end: OrphanEnd) -> Result<(), StoreError>;
}
