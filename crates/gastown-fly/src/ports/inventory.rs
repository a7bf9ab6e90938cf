//! The port `Inventory`: everything of ours in an app, by metadata and by name.
//!
//! Machines are read from the full list, because their metadata may name another town than their name.

use async_trait::async_trait;
use gastown_domain::{
    AppName, AppPlacement, InventoryItem, Power, ResourceId, TownTag,
    ports::{Action, AppInventory, Inventory, ProviderError},
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
