//! The port `Inventory`: everything of ours in an app, by metadata and by name.
//!
//! The search for orphans reads machines from the full list, because their metadata may name another town than their name.
//! The drift checks know the ids, so the summary is enough for them.

use std::collections::HashMap;

use async_trait::async_trait;
use gastown_domain::{
    AppName, AppPlacement, InventoryItem, MachineId, Power, ResourceId, TownTag,
    ports::{Action, AppInventory, AppLists, Inventory, ObservedMachine, ObservedVolume, ProviderError},
};
use serde::de::DeserializeOwned;

use crate::{
    api::{self, Call, Entry, apps::AppList, machines::Machine, volumes::Volume},
    fly::{Fly, log_unreadable},
    mapping::{
        errors::provider_error,
        names::{TOWN_TAG, tag_of_machine_name, tag_of_metadata, tag_of_volume_name},
        states::{self, Mapped},
    },
};

#[async_trait]
impl Inventory for Fly {
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError> {
        let organization = match &self.apps {
            AppPlacement::Shared(app) => return Ok(vec![app.clone()]),
            AppPlacement::PerUser { organization, .. } => organization,
        };
        let call = api::apps::list(organization);
        let listed = self.client.in_background().fetch::<AppList>(&call).await;
        let listed = listed.map_err(|error| provider_error(Action::ListApps, error))?.apps;
        let entries = listed.len();
        let read = listed.into_iter().filter_map(|entry| match entry {
            Entry::Read(app) => Some(app.name),
            Entry::Unreadable(_) => None,
        });
        let names: Vec<String> = read.collect();
        // The port cannot report a partial list. The app is found once its entry can be read again.
        log_unreadable(&call, entries, entries - names.len());
        let apps = names.iter().filter_map(|name| name.parse().ok());
        Ok(apps.filter(|app| self.apps.includes(app)).collect())
    }

    async fn list(&self, app: &AppName) -> Result<AppInventory, ProviderError> {
        let machines = api::machines::list(app.as_str(), None);
        let mut inventory = self.list_items(app, &machines, Action::ListMachines, machine).await?;
        let volumes = api::volumes::list(app.as_str());
        let volumes = self.list_items(app, &volumes, Action::ListVolumes, volume).await?;
        inventory.items.extend(volumes.items);
        inventory.is_whole &= volumes.is_whole;
        Ok(inventory)
    }

    async fn lists(&self, app: &AppName) -> Result<AppLists, ProviderError> {
        let fly = self.in_background();
        let volumes = api::volumes::list(app.as_str());
        let volumes: Vec<Volume> = fly.fetch_list(app, &volumes, Action::ListVolumes, &[]).await?;
        let volumes: Vec<ObservedVolume> = volumes.iter().filter_map(certain_volume).collect();
        let machines = api::machines::summary(app.as_str());
        let machines: Vec<Machine> = fly.fetch_list(app, &machines, Action::ListMachines, &[]).await?;
        let mounted = mounted(&volumes);
        Ok(AppLists {
            machines: machines.iter().filter_map(|shown| certain_machine(shown, &mounted)).collect(),
            volumes,
        })
    }
}

/// Returns the volume, unless it is destroyed, its host may not answer, or its entry lacks the region.
fn certain_volume(shown: &Volume) -> Option<ObservedVolume> {
    match states::volume(shown) {
        Mapped::Present(observed) if shown.host_answers() && observed.region.is_some() => Some(observed),
        Mapped::Present(_) | Mapped::Destroyed | Mapped::Invalid => None,
    }
}

/// Returns the volume that each machine mounts, or `None` where several volumes name the machine.
fn mounted(volumes: &[ObservedVolume]) -> HashMap<&MachineId, Option<&ObservedVolume>> {
    let mut mounted = HashMap::new();
    for volume in volumes.iter().filter(|volume| !volume.destroying) {
        if let Some(machine) = &volume.bound_to {
            mounted.entry(machine).and_modify(|first| *first = None).or_insert(Some(volume));
        }
    }
    mounted
}

/// Returns the machine, unless it is destroyed or its host may not answer.
///
/// The summary shows neither the mount nor the host. A machine runs on the host of its volume, so the volume's entry tells if
/// that host answers. If it does not, the state is only the last known one.
fn certain_machine(shown: &Machine, mounted: &HashMap<&MachineId, Option<&ObservedVolume>>) -> Option<ObservedMachine> {
    let observed = match states::machine(shown) {
        Mapped::Present(observed) => observed,
        Mapped::Destroyed | Mapped::Invalid => return None,
    };
    let volume = mounted.get(&observed.id).copied().flatten()?;
    Some(ObservedMachine { volume: Some(volume.id.clone()), ..observed })
}

/// The kinds of list entries.
enum Listed {
    Ours(InventoryItem),
    /// Another owner's, or destroyed.
    NotOurs,
    /// An invalid value, or a tag of ours that names no town.
    Unreadable,
}

impl Fly {
    /// Fetches a list and returns the entries that are ours.
    async fn list_items<T: DeserializeOwned>(
        &self,
        app: &AppName,
        call: &Call,
        action: Action,
        classify: fn(&T) -> Listed,
    ) -> Result<AppInventory, ProviderError> {
        let entries = self.client.in_background().fetch::<Vec<Entry<T>>>(call).await;
        let entries = entries.map_err(|error| self.app_error(app, action, error))?;
        let (mut items, mut unreadable) = (Vec::new(), 0_usize);
        for entry in &entries {
            let listed = match entry {
                Entry::Read(shown) => classify(shown),
                Entry::Unreadable(_) => Listed::Unreadable,
            };
            match listed {
                Listed::Ours(item) => items.push(item),
                Listed::NotOurs => {}
                Listed::Unreadable => unreadable += 1,
            }
        }
        log_unreadable(call, entries.len(), unreadable);
        Ok(AppInventory { items, is_whole: unreadable == 0 })
    }
}

fn machine(shown: &Machine) -> Listed {
    let by_name = tag_of_machine_name(&shown.name);
    // A machine on a host that does not answer may show no metadata. Then its name decides.
    let by_metadata = match shown.tag(TOWN_TAG).map(tag_of_metadata) {
        Some(Err(_)) => return Listed::Unreadable,
        Some(Ok(tag)) => Some(tag),
        None => None,
    };
    let mut tags: Vec<TownTag> = by_metadata.into_iter().chain(by_name).collect();
    tags.dedup();
    if tags.is_empty() {
        return Listed::NotOurs;
    }
    match states::machine(shown) {
        Mapped::Present(observed) => Listed::Ours(InventoryItem {
            resource: ResourceId::Machine(observed.id),
            name: shown.name.clone(),
            tags,
            made_at: shown.created_at,
            held_by: None,
            destroying: observed.power == Power::Destroying,
        }),
        Mapped::Destroyed => Listed::NotOurs,
        Mapped::Invalid => Listed::Unreadable,
    }
}

fn volume(shown: &Volume) -> Listed {
    let Some(tag) = tag_of_volume_name(&shown.name) else { return Listed::NotOurs };
    match states::volume(shown) {
        Mapped::Present(observed) => Listed::Ours(InventoryItem {
            resource: ResourceId::Volume(observed.id),
            name: shown.name.clone(),
            tags: vec![tag],
            made_at: shown.created_at,
            held_by: observed.bound_to,
            destroying: observed.destroying,
        }),
        Mapped::Destroyed => Listed::NotOurs,
        Mapped::Invalid => Listed::Unreadable,
    }
}
