//! The inventory of the in-memory Fly: everything in its one app.

use async_trait::async_trait;
use gastown_domain::ports::{Action, Inventory, ProviderError, Stock};
use gastown_domain::{AppName, StockItem, Thing, TownTag};

use crate::faults::Call;
use crate::fly::Line;
use crate::world::{Machine, Volume, World};

impl Line {
    /// Whoever asks in another app than the one there is would be told of nothing at all, and believe it.
    pub(crate) fn is_asked_in(app: &AppName) {
        assert_eq!(*app, the_app(), "a strange app");
    }
}

/// The one app of the in-memory Fly.
pub(crate) fn the_app() -> AppName {
    "gastown".parse().unwrap()
}

#[async_trait]
impl Inventory for Line {
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError> {
        self.call(Call::Fly(Action::Other), |_| Ok(vec![the_app()])).await
    }

    async fn stock(&self, app: &AppName) -> Result<Stock, ProviderError> {
        Self::is_asked_in(app);
        let list_machines = |world: &mut World| {
            let living = world.machines.iter().filter(|machine| !machine.is_gone());
            let items = living.filter_map(|machine| machine_item(machine, world));
            Ok(world.readable(world.listed(items)))
        };
        let (mut items, machines_are_whole) = self.call(Call::Fly(Action::ListMachines), list_machines).await?;
        let list_volumes = |world: &mut World| {
            let living = world.volumes.iter().filter(|volume| !volume.gone);
            let items = living.filter_map(|volume| volume_item(volume, world));
            Ok(world.readable(world.listed(items)))
        };
        let (volumes, volumes_are_whole) = self.call(Call::Fly(Action::ListVolumes), list_volumes).await?;
        items.extend(volumes);
        Ok(Stock { items, is_whole: machines_are_whole && volumes_are_whole })
    }
}

fn machine_item(machine: &Machine, world: &World) -> Option<StockItem> {
    let by_metadata = machine.metadata.get("gastown_town_id").and_then(|id| id.parse().ok());
    let tags: Vec<_> = by_metadata.into_iter().chain(TownTag::of_machine_name(&machine.name)).collect();
    (!tags.is_empty()).then(|| StockItem {
        thing: Thing::Machine(machine.id.clone()),
        name: machine.name.clone(),
        tags,
        made_at: Some(world.date(machine.made_at)),
        held_by: None,
        leaving: machine.power() == gastown_domain::Power::Leaving,
    })
}

fn volume_item(volume: &Volume, world: &World) -> Option<StockItem> {
    Some(StockItem {
        thing: Thing::Volume(volume.id.clone()),
        name: volume.name.clone(),
        tags: vec![TownTag::of_volume_name(&volume.name)?],
        made_at: Some(world.date(volume.made_at)),
        held_by: volume.held_by.clone(),
        leaving: volume.leaving.is_some(),
    })
}
