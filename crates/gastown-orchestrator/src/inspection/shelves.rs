//! What an app's list of volumes shows: one call instead of one for each stopped town, where an app has many.
//!
//! Fly counts every look at a volume against its app, one a second (`fly/machines-api.md`). A volume in the list is there;
//! one that is not in it is looked at by itself, for a list proves no absence (FM-32).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::time::Duration;

use gastown_domain::ports::Inventory;
use gastown_domain::{AppName, ResourceId, VolumeId};
use tokio::time::timeout;

/// So many towns of one app are worth a list.
const MANY: usize = 4;
/// A list takes at most this long.
const LIST_PATIENCE: Duration = Duration::from_secs(20);

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
        for (app, _) in towns.into_iter().filter(|(_, towns)| *towns >= MANY) {
            if let Entry::Vacant(unlisted) = self.0.entry(app) {
                let shown = list(inventory, unlisted.key()).await;
                unlisted.insert(shown);
            }
        }
    }

    /// Whether a list shows the volume.
    pub(super) fn show(&self, app: &AppName, volume: Option<&VolumeId>) -> bool {
        self.0.get(app).zip(volume).is_some_and(|(shown, volume)| shown.contains(volume))
    }
}

/// Nothing where it cannot be listed: then each is looked at by itself.
async fn list(inventory: &dyn Inventory, app: &AppName) -> HashSet<VolumeId> {
    let listed = match timeout(LIST_PATIENCE, inventory.stock(app)).await {
        Ok(Ok(stock)) => stock.items,
        Ok(Err(error)) => {
            tracing::debug!(fly.app = %app, error = &error as &dyn Error, "an app's volumes could not be listed");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    let staying = listed.into_iter().filter(|item| !item.destroying);
    let volume = |resource| match resource {
        ResourceId::Volume(id) => Some(id),
        ResourceId::Machine(_) => None,
    };
    staying.filter_map(|item| volume(item.resource)).collect()
}
