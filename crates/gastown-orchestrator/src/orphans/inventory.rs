//! The inventory: every resource of ours in every app, and the rows that reference it.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use gastown_domain::ports::{Alarm, AppInventory, ObservedOrphan, ProviderError, StoreError};
use gastown_domain::{AppName, InventoryItem, Ownership, ResourceId, TownTag, ownership};
use tokio::time::timeout;

use super::{OrphanSweeper, SweepError};
use crate::singleton_jobs::is_alarming;

/// The time limit of one app. A slow app delays the others for no longer (FM-52).
const APP_TIMEOUT: Duration = Duration::from_secs(120);
/// Resources whose towns are read at once.
const READ_AT_ONCE: usize = 100;

/// The inventory of all apps.
pub(super) struct WholeInventory {
    pub(super) read: Vec<SortedInventory>,
    /// Apps that could not be read.
    pub(super) failed: Vec<AppName>,
    /// Apps among those for which the provider refused our credentials.
    refused: usize,
}

/// The inventory of one app.
pub(super) struct SortedInventory {
    pub(super) app: AppName,
    pub(super) is_whole: bool,
    pub(super) orphans: Vec<ObservedOrphan>,
    /// Resources that are no orphans: referenced, or undecided.
    pub(super) others: HashSet<ResourceId>,
}

impl SortedInventory {
    pub(super) fn seen(&self) -> usize {
        self.orphans.len() + self.others.len()
    }

    pub(super) fn holds(&self, resource: &ResourceId) -> bool {
        self.others.contains(resource) || self.orphan(resource).is_some()
    }

    pub(super) fn orphan(&self, resource: &ResourceId) -> Option<&ObservedOrphan> {
        self.orphans.iter().find(|orphan| orphan.item.resource == *resource)
    }
}

impl WholeInventory {
    pub(super) fn of(&self, app: &AppName) -> Option<&SortedInventory> {
        self.read.iter().find(|stock| stock.app == *app)
    }

    pub(super) fn seen(&self) -> usize {
        self.read.iter().map(SortedInventory::seen).sum()
    }

    pub(super) fn orphans(&self) -> usize {
        self.read.iter().map(|stock| stock.orphans.len()).sum()
    }

    /// Returns an alarm if nothing can be read, or if too much of one app, or of all apps, is an orphan. Many small apps are as
    /// alarming as a large one.
    pub(super) fn alarm(&self, least: u32) -> Option<Alarm> {
        if self.read.is_empty() && self.refused > 0 {
            return Some(Alarm::Refused);
        }
        let of_one = |stock: &SortedInventory| is_alarming(stock.orphans.len(), stock.seen(), least);
        let is_alarm = self.read.iter().any(of_one) || is_alarming(self.orphans(), self.seen(), least);
        is_alarm.then_some(Alarm::ManyOrphans)
    }
}

impl OrphanSweeper {
    /// Reads every app. A failure affects only its app.
    pub(super) async fn read_inventory(&self) -> Result<WholeInventory, SweepError> {
        let mut inventory = WholeInventory { read: Vec::new(), failed: Vec::new(), refused: 0 };
        for app in self.ports.inventory.apps().await? {
            match timeout(APP_TIMEOUT, self.read_app(&app)).await {
                Ok(Ok(stock)) => inventory.read.push(stock),
                Ok(Err(error)) => {
                    let is_refused = matches!(error, SweepError::Provider(ProviderError::Misconfigured { .. }));
                    inventory.refused += usize::from(is_refused);
                    let error: &dyn Error = &error;
                    tracing::warn!(%app, error, "failed to read inventory of app");
                    inventory.failed.push(app);
                }
                Err(_) => {
                    tracing::warn!(%app, "failed to read inventory of app: timed out");
                    inventory.failed.push(app);
                }
            }
        }
        Ok(inventory)
    }

    /// Reads the provider first and the registry second. What is created in between has its row by then.
    async fn read_app(&self, app: &AppName) -> Result<SortedInventory, SweepError> {
        let AppInventory { items, is_whole } = self.ports.inventory.list(app).await?;
        let mut stock = SortedInventory { app: app.clone(), is_whole, orphans: Vec::new(), others: HashSet::new() };
        for some in items.chunks(READ_AT_ONCE) {
            self.sort(some, &mut stock).await?;
        }
        Ok(stock)
    }

    async fn sort(&self, items: &[InventoryItem], stock: &mut SortedInventory) -> Result<(), StoreError> {
        let tags: HashSet<TownTag> = items.iter().flat_map(|item| item.tags.iter().copied()).collect();
        let rows = self.ports.orphans.town_records(&Vec::from_iter(tags)).await?;
        for item in items {
            match ownership(item, &rows) {
                Ownership::Orphan(reason) => {
                    stock.orphans.push(ObservedOrphan { app: stock.app.clone(), item: item.clone(), reason });
                }
                Ownership::AccountedFor | Ownership::Undecided => {
                    stock.others.insert(item.resource.clone());
                }
            }
        }
        Ok(())
    }
}
