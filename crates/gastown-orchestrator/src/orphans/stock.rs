//! Taking stock: everything of ours in every app, and whether a row accounts for it.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use gastown_domain::ports::{Alarm, AppInventory, ObservedOrphan, ProviderError, StoreError};
use gastown_domain::{AppName, InventoryItem, Ownership, ResourceId, TownTag, ownership};
use tokio::time::timeout;

use super::{OrphanSweeper, SweepError};
use crate::passes::is_alarming;

/// One app takes at most this long, and keeps the others waiting for no more (FM-52).
const APP_PATIENCE: Duration = Duration::from_secs(120);
/// Things whose towns are asked for at once.
const ASKED_AT_ONCE: usize = 100;

/// What there is in all apps.
pub(super) struct Stocks {
    pub(super) read: Vec<AppStock>,
    /// Apps that could not be read.
    pub(super) failed: Vec<AppName>,
    /// How many of those Fly refused to show us.
    refused: usize,
}

/// What there is of ours in one app.
pub(super) struct AppStock {
    pub(super) app: AppName,
    pub(super) is_whole: bool,
    pub(super) orphans: Vec<ObservedOrphan>,
    /// What is no orphan: accounted for, or not to be said.
    pub(super) others: HashSet<ResourceId>,
}

impl AppStock {
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

impl Stocks {
    pub(super) fn of(&self, app: &AppName) -> Option<&AppStock> {
        self.read.iter().find(|stock| stock.app == *app)
    }

    pub(super) fn seen(&self) -> usize {
        self.read.iter().map(AppStock::seen).sum()
    }

    pub(super) fn orphans(&self) -> usize {
        self.read.iter().map(|stock| stock.orphans.len()).sum()
    }

    /// Whether nothing may be seen, or too much of one app, or of all, belongs to nobody: many small apps are as alarming as a
    /// large one.
    pub(super) fn alarm(&self, least: u32) -> Option<Alarm> {
        if self.read.is_empty() && self.refused > 0 {
            return Some(Alarm::Refused);
        }
        let of_one = |stock: &AppStock| is_alarming(stock.orphans.len(), stock.seen(), least);
        let is_alarm = self.read.iter().any(of_one) || is_alarming(self.orphans(), self.seen(), least);
        is_alarm.then_some(Alarm::ManyOrphans)
    }
}

impl OrphanSweeper {
    /// Looks through every app. One that cannot be read costs that app only.
    pub(super) async fn take_stock(&self) -> Result<Stocks, SweepError> {
        let mut stocks = Stocks { read: Vec::new(), failed: Vec::new(), refused: 0 };
        for app in self.ports.inventory.apps().await? {
            match timeout(APP_PATIENCE, self.look_through(&app)).await {
                Ok(Ok(stock)) => stocks.read.push(stock),
                Ok(Err(error)) => {
                    let is_refused = matches!(error, SweepError::Provider(ProviderError::Misconfigured { .. }));
                    stocks.refused += usize::from(is_refused);
                    let error: &dyn Error = &error;
                    tracing::warn!(fly.app = %app, error, "an app could not be looked through for orphans");
                    stocks.failed.push(app);
                }
                Err(_) => {
                    tracing::warn!(fly.app = %app, "an app took too long to be looked through for orphans");
                    stocks.failed.push(app);
                }
            }
        }
        Ok(stocks)
    }

    /// The registry is asked after Fly: what was made meanwhile has its row by then.
    async fn look_through(&self, app: &AppName) -> Result<AppStock, SweepError> {
        let AppInventory { items, is_whole } = self.ports.inventory.stock(app).await?;
        let mut stock = AppStock { app: app.clone(), is_whole, orphans: Vec::new(), others: HashSet::new() };
        for some in items.chunks(ASKED_AT_ONCE) {
            self.judge(some, &mut stock).await?;
        }
        Ok(stock)
    }

    async fn judge(&self, items: &[InventoryItem], stock: &mut AppStock) -> Result<(), StoreError> {
        let tags: HashSet<TownTag> = items.iter().flat_map(|item| item.tags.iter().copied()).collect();
        let accounts = self.ports.book.town_records(&Vec::from_iter(tags)).await?;
        for item in items {
            match ownership(item, &accounts) {
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
