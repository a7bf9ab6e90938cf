//! The inventory of the fake Fly: its apps and their resources.

use async_trait::async_trait;
use gastown_domain::ports::{Action, AppInventory, AppLists, Inventory, ProviderError};
use gastown_domain::{AppName, InventoryItem, ResourceId, TownId, TownTag};

use crate::faults::Call;
use crate::fly::FlyClient;
use crate::names::{tag_of_machine_name, tag_of_volume_name, volume_name};
use crate::world::{Machine, Volume, World};

impl FlyClient {
    /// Asserts that the resource, or the resources of the town, are in this app. A call to a wrong app would find
    /// nothing and be taken for proof of absence.
    pub(crate) fn assert_app_matches(&self, app: &AppName, of: &impl ToString) {
        let (world, of) = (self.fly.world(), of.to_string());
        assert!(world.apps.contains(app), "unknown app: {app}");
        let town: Option<TownId> = of.parse().ok();
        let name = town.map(volume_name);
        let matches_id =
            |machine: &&Machine| machine.id.as_str() == of || town.is_some_and(|town| machine.belongs_to(town));
        let machines = world.machines.iter().filter(matches_id).map(|machine| &machine.app);
        let volumes =
            world.volumes.iter().filter(|volume| volume.id.as_str() == of || Some(&volume.name) == name.as_ref());
        let elsewhere = machines.chain(volumes.map(|volume| &volume.app)).find(|other| *other != app).cloned();
        drop(world);
        assert_eq!(elsewhere, None, "{of} is not in {app}");
    }
}

/// Returns the app that all towns share unless each user has one.
pub(crate) fn the_app() -> AppName {
    "gastown".parse().unwrap()
}

#[async_trait]
impl Inventory for FlyClient {
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError> {
        self.call(Call::Fly(Action::ListApps), |world| Ok(world.apps.iter().cloned().collect())).await
    }

    async fn list(&self, app: &AppName) -> Result<AppInventory, ProviderError> {
        self.assert_app_matches(app, &"");
        let here = app.clone();
        let list_machines = move |world: &mut World| {
            let existing = world.machines.iter().filter(|machine| machine.app == here && !machine.is_gone());
            let items = existing.filter_map(|machine| machine_item(machine, world));
            Ok(world.readable(world.listed(items)))
        };
        let (mut items, machines_are_whole) = self.call(Call::Fly(Action::ListMachines), list_machines).await?;
        let here = app.clone();
        let list_volumes = move |world: &mut World| {
            let existing = world.volumes.iter().filter(|volume| volume.app == here && !volume.gone);
            let items = existing.filter_map(|volume| volume_item(volume, world));
            Ok(world.readable(world.listed(items)))
        };
        let (volumes, volumes_are_whole) = self.call(Call::Fly(Action::ListVolumes), list_volumes).await?;
        items.extend(volumes);
        Ok(AppInventory { items, is_whole: machines_are_whole && volumes_are_whole })
    }

    async fn lists(&self, app: &AppName) -> Result<AppLists, ProviderError> {
        self.assert_app_matches(app, &"");
        let here = app.clone();
        let list_volumes = move |world: &mut World| {
            let existing = world.volumes.iter().filter(|volume| volume.app == here && !volume.gone);
            Ok(world.readable(world.listed(existing.map(Volume::observed))).0)
        };
        let volumes = self.call(Call::Fly(Action::ListVolumes), list_volumes).await?;
        let here = app.clone();
        let list_machines = move |world: &mut World| {
            // Neither machines nor volumes on hosts that do not respond are certain.
            let is_certain = |machine: &&Machine| machine.app == here && !machine.is_gone() && !world.unreachable_hosts;
            let existing = world.machines.iter().filter(is_certain);
            Ok(world.readable(world.listed(existing.map(|machine| world.observe_machine(machine)))).0)
        };
        let machines = self.call(Call::Fly(Action::ListMachines), list_machines).await?;
        Ok(AppLists { machines, volumes })
    }
}

fn machine_item(machine: &Machine, world: &World) -> Option<InventoryItem> {
    let by_metadata = machine.metadata.get("gastown_town_id").and_then(|id| id.parse().ok()).map(TownTag::Whole);
    let tags: Vec<_> = by_metadata.into_iter().chain(tag_of_machine_name(&machine.name)).collect();
    (!tags.is_empty()).then(|| InventoryItem {
        resource: ResourceId::Machine(machine.id.clone()),
        name: machine.name.clone(),
        tags,
        made_at: Some(world.date(machine.made_at)),
        held_by: None,
        destroying: machine.power() == gastown_domain::Power::Destroying,
    })
}

fn volume_item(volume: &Volume, world: &World) -> Option<InventoryItem> {
    Some(InventoryItem {
        resource: ResourceId::Volume(volume.id.clone()),
        name: volume.name.clone(),
        tags: vec![tag_of_volume_name(&volume.name)?],
        made_at: Some(world.date(volume.made_at)),
        held_by: volume.held_by.clone(),
        destroying: volume.destroying.is_some(),
    })
}
