//! Lists of apps with many towns: two calls instead of one or two for each town.
//!
//! A town whose machine and volume are listed as its row says needs no call of its own. Everything else is read by its id,
//! because a list proves neither an absence nor a change (FM-32).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gastown_domain::ports::{AppLists, Inventory, ObservedMachine};
use gastown_domain::{AppName, MachineId, Town, VolumeId};
use tokio::time::timeout;

/// The number of towns in one app that makes its lists worth their cost. Lists of an app share one rate limit, and reads of
/// machines have one each.
const MIN_TOWNS: usize = 4;
/// The longest list for each town that it spares a read, unless more towns are expected.
const MAX_ENTRIES_A_TOWN: usize = 100;
/// The time limit of the lists of one app.
const LIST_TIMEOUT: Duration = Duration::from_secs(20);

/// The sizes of large apps, as they were last listed.
#[derive(Clone, Default)]
pub(super) struct LargeApps(Arc<Mutex<HashMap<AppName, usize>>>);

impl LargeApps {
    /// Returns true if the lists of an app are cheaper than reads of these towns. After a full batch more towns are expected.
    fn is_list_cheaper(&self, app: &AppName, towns: usize, batch_is_full: bool) -> bool {
        let sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = sizes.get(app).is_none_or(|size| *size <= towns * MAX_ENTRIES_A_TOWN);
        towns >= MIN_TOWNS && (batch_is_full || fits)
    }

    fn remember(&self, app: &AppName, size: usize) {
        let mut sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if size > MIN_TOWNS * MAX_ENTRIES_A_TOWN {
            sizes.insert(app.clone(), size);
        } else {
            sizes.remove(app);
        }
    }
}

/// The listed resources of one app.
#[derive(Default)]
struct Listed {
    machines: HashMap<MachineId, ObservedMachine>,
    /// The volumes that stay.
    volumes: HashSet<VolumeId>,
}

impl From<AppLists> for Listed {
    fn from(lists: AppLists) -> Self {
        let staying = lists.volumes.into_iter().filter(|volume| !volume.destroying);
        Self {
            machines: lists.machines.into_iter().map(|machine| (machine.id.clone(), machine)).collect(),
            volumes: staying.map(|volume| volume.id).collect(),
        }
    }
}

/// The resources of a town that the lists of its app show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ListedTown {
    /// The recorded machine.
    pub(super) machine: Option<ObservedMachine>,
    /// True if the recorded volume is listed and stays.
    pub(super) has_volume: bool,
}

/// The lists of one pass.
#[derive(Default)]
pub(super) struct AppListCache(HashMap<AppName, Listed>);

impl AppListCache {
    /// Lists those apps that have many of these towns and were not listed in this pass.
    pub(super) async fn fill(
        &mut self,
        inventory: &dyn Inventory,
        large_apps: &LargeApps,
        apps_of_towns: impl Iterator<Item = AppName>,
        batch_is_full: bool,
    ) {
        let mut towns: HashMap<AppName, usize> = HashMap::new();
        for app in apps_of_towns {
            *towns.entry(app).or_default() += 1;
        }
        for (app, towns) in towns {
            if !large_apps.is_list_cheaper(&app, towns, batch_is_full) {
                continue;
            }
            if let Entry::Vacant(unlisted) = self.0.entry(app) {
                let listed = list(inventory, large_apps, unlisted.key()).await;
                unlisted.insert(listed);
            }
        }
    }

    /// Returns what a list shows of a town.
    pub(super) fn of(&self, app: &AppName, town: &Town) -> ListedTown {
        let Some(listed) = self.0.get(app) else { return ListedTown::default() };
        ListedTown {
            machine: town.machine_id.as_ref().and_then(|id| listed.machines.get(id)).cloned(),
            has_volume: town.volume_id.as_ref().is_some_and(|id| listed.volumes.contains(id)),
        }
    }
}

/// Lists an app. Returns nothing if a list fails; then each town is read by its ids.
async fn list(inventory: &dyn Inventory, large_apps: &LargeApps, app: &AppName) -> Listed {
    match timeout(LIST_TIMEOUT, inventory.lists(app)).await {
        Ok(Ok(lists)) => {
            large_apps.remember(app, lists.machines.len().max(lists.volumes.len()));
            lists.into()
        }
        Ok(Err(error)) => {
            tracing::debug!(%app, error = &error as &dyn Error, "failed to list app");
            Listed::default()
        }
        Err(_) => {
            tracing::debug!(%app, "failed to list app: timed out");
            Listed::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cheaper_for_many_towns_of_an_app_that_is_not_far_larger() {
        let (apps, app) = (LargeApps::default(), "gastown".parse().unwrap());
        assert!(!apps.is_list_cheaper(&app, 3, true));
        assert!(apps.is_list_cheaper(&app, 4, false));
        apps.remember(&app, 10_000);
        for (towns, batch_is_full, want) in [(99, false, false), (100, false, true), (4, true, true), (3, true, false)]
        {
            assert_eq!(apps.is_list_cheaper(&app, towns, batch_is_full), want, "{towns} {batch_is_full}");
        }
        apps.remember(&app, 300);
        assert!(apps.is_list_cheaper(&app, 4, false), "it has shrunk");
    }
}
