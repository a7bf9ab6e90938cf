//! Volume lists of apps with many towns: one call instead of one for each stopped town.
//!
//! Providers count reads of volumes per app. A volume in the list exists. One that is not in the list is read by its id,
//! because a list proves no absence (FM-32).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::time::Duration;

use gastown_domain::ports::Inventory;
use gastown_domain::{AppName, ResourceId, VolumeId};
use tokio::time::timeout;

/// The number of towns in one app that makes a list worth its cost.
const MIN_TOWNS: usize = 4;
/// The time limit of one list.
const LIST_TIMEOUT: Duration = Duration::from_secs(20);

/// The lists of one pass.
#[derive(Default)]
pub(super) struct VolumeListCache(HashMap<AppName, HashSet<VolumeId>>);

impl VolumeListCache {
    /// Lists the volumes of those apps that have many of these towns and were not listed in this pass.
    pub(super) async fn fill(&mut self, inventory: &dyn Inventory, apps_of_towns: impl Iterator<Item = AppName>) {
        let mut towns: HashMap<AppName, usize> = HashMap::new();
        for app in apps_of_towns {
            *towns.entry(app).or_default() += 1;
        }
        for (app, _) in towns.into_iter().filter(|(_, towns)| *towns >= MIN_TOWNS) {
            if let Entry::Vacant(unlisted) = self.0.entry(app) {
                let volumes = list(inventory, unlisted.key()).await;
                unlisted.insert(volumes);
            }
        }
    }

    /// Returns true if a list shows the volume.
    pub(super) fn contains(&self, app: &AppName, volume: Option<&VolumeId>) -> bool {
        self.0.get(app).zip(volume).is_some_and(|(volumes, volume)| volumes.contains(volume))
    }
}

/// Lists the volumes of an app that stay. Returns an empty set if the list fails; then each volume is read by its id.
async fn list(inventory: &dyn Inventory, app: &AppName) -> HashSet<VolumeId> {
    let items = match timeout(LIST_TIMEOUT, inventory.list(app)).await {
        Ok(Ok(stock)) => stock.items,
        Ok(Err(error)) => {
            tracing::debug!(%app, error = &error as &dyn Error, "failed to list volumes");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    let staying = items.into_iter().filter(|item| !item.destroying);
    let volume = |resource| match resource {
        ResourceId::Volume(id) => Some(id),
        ResourceId::Machine(_) => None,
    };
    staying.filter_map(|item| volume(item.resource)).collect()
}
