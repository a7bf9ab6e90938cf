//! `Inventory` on Fly: everything of ours in an app, told by metadata and by name.
//!
//! The full list of machines is asked for, not its summary: a machine's metadata may name another town than its name.

use async_trait::async_trait;
use gastown_domain::{
    AppName, InventoryItem, Power, ResourceId, TownTag,
    ports::{Action, AppInventory, Inventory, ProviderError},
};
use serde::de::DeserializeOwned;

use crate::{
    api::{self, Call, Entry, apps::AppList, machines::Machine, volumes::Volume},
    fly::{AppPolicy, Fly, note_unreadable},
    mapping::errors::port_error,
    mapping::machine_config::TOWN_TAG,
    mapping::states::{self, Sighted},
};

/// How many hex digits of a user's digest an app's name ends with.
const USER_DIGITS: usize = 20;

#[async_trait]
impl Inventory for Fly {
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError> {
        let (org_slug, prefix) = match &self.apps {
            AppPolicy::Shared(app) => return Ok(vec![app.clone()]),
            AppPolicy::Created { org_slug, prefix } => (org_slug, prefix),
        };
        let call = api::apps::list(org_slug);
        let listed = self.client.in_background().ask::<AppList>(&call).await;
        let listed = listed.map_err(|error| port_error(Action::EnsureApp, error))?.apps;
        let entries = listed.len();
        let read = listed.into_iter().filter_map(|entry| match entry {
            Entry::Read(app) => Some(app.name),
            Entry::Unreadable(_) => None,
        });
        let names: Vec<String> = read.collect();
        // The port has no word for it; what such an app holds is found when its entry can be read again.
        note_unreadable(&call, entries, entries - names.len());
        let ours = names.into_iter().filter(|name| is_a_users(name, prefix));
        Ok(ours.filter_map(|name| name.parse().ok()).collect())
    }

    async fn stock(&self, app: &AppName) -> Result<AppInventory, ProviderError> {
        let machines = api::machines::list(app.as_str(), None);
        let mut stock = self.take_stock(app, &machines, Action::ListMachines, machine).await?;
        let volumes = api::volumes::list(app.as_str());
        let volumes = self.take_stock(app, &volumes, Action::ListVolumes, volume).await?;
        stock.items.extend(volumes.items);
        stock.is_whole &= volumes.is_whole;
        Ok(stock)
    }
}

/// What an entry of a list is to us.
enum Told {
    Ours(InventoryItem),
    /// Somebody else's, or gone for good.
    Nothing,
    /// Something that cannot be true, or with a tag of ours that names no town.
    Unreadable,
}

impl Fly {
    /// What of a list is ours.
    async fn take_stock<T: DeserializeOwned>(
        &self,
        app: &AppName,
        call: &Call,
        action: Action,
        judge: fn(&T) -> Told,
    ) -> Result<AppInventory, ProviderError> {
        let listed = self.client.in_background().ask::<Vec<Entry<T>>>(call).await;
        let listed = listed.map_err(|error| self.failed(app, action, error))?;
        let (mut items, mut unreadable) = (Vec::new(), 0_usize);
        for entry in &listed {
            let told = match entry {
                Entry::Read(shown) => judge(shown),
                Entry::Unreadable(_) => Told::Unreadable,
            };
            match told {
                Told::Ours(item) => items.push(item),
                Told::Nothing => {}
                Told::Unreadable => unreadable += 1,
            }
        }
        note_unreadable(call, listed.len(), unreadable);
        Ok(AppInventory { items, is_whole: unreadable == 0 })
    }
}

fn machine(shown: &Machine) -> Told {
    let by_name = TownTag::of_machine_name(&shown.name);
    // A machine whose host is down may show no metadata: then its name decides.
    let by_metadata = match shown.tag(TOWN_TAG).map(str::parse) {
        Some(Err(_)) => return Told::Unreadable,
        Some(Ok(tag)) => Some(tag),
        None => None,
    };
    let mut tags: Vec<TownTag> = by_metadata.into_iter().chain(by_name).collect();
    tags.dedup();
    if tags.is_empty() {
        return Told::Nothing;
    }
    match states::machine(shown) {
        Sighted::There(sighting) => Told::Ours(InventoryItem {
            resource: ResourceId::Machine(sighting.id),
            name: shown.name.clone(),
            tags,
            made_at: shown.created_at,
            held_by: None,
            destroying: sighting.power == Power::Destroying,
        }),
        Sighted::Gone => Told::Nothing,
        Sighted::Rubbish => Told::Unreadable,
    }
}

fn volume(shown: &Volume) -> Told {
    let Some(tag) = TownTag::of_volume_name(&shown.name) else { return Told::Nothing };
    match states::volume(shown) {
        Sighted::There(sighting) => Told::Ours(InventoryItem {
            resource: ResourceId::Volume(sighting.id),
            name: shown.name.clone(),
            tags: vec![tag],
            made_at: shown.created_at,
            held_by: sighting.bound_to,
            destroying: sighting.destroying,
        }),
        Sighted::Gone => Told::Nothing,
        Sighted::Rubbish => Told::Unreadable,
    }
}

/// Whether an app is one of a user's: the prefix alone also begins the names of another stage's apps, `gt-staging-…`.
fn is_a_users(name: &str, prefix: &AppName) -> bool {
    let digits = name.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    digits.len() == USER_DIGITS && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
