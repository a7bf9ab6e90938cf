//! Runs towns at another provider: machines in a rack of one's own, behind the provider's ports.
//!
//! `cargo run -p gastown --features sqlite --example own_provider`. Sandboxes are those of this example too, because nothing
//! runs on these machines.
#![expect(clippy::print_stdout, reason = "the output of the example")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown::domain::{
    AppName, AppPlacement, Branch, InventoryItem, MachineId, Power, ResourceId, RigName, SandboxRig, TownTag, VolumeId,
};
use gastown::ports::{
    Action, AppInventory, AppLists, Apps, Awaited, Clock as _, Deletion, Inventory, MachineSpec, Machines,
    ObservedMachine, ObservedVolume, ProviderError, SandboxAddress, SandboxError, Sandboxes, VolumeSpec, Volumes,
};
use gastown::system::{SystemClock, random_secret};
use gastown::{
    CancellationToken, CreateTown, DestroyTown, Gastown, SandboxEnv, SecretSettings, TownId, Towns, sealing, tokio,
};

/// The only app: the rack has no namespaces.
const RACK: &str = "rack";

/// Machines and disks of a rack. A real adapter calls the rack's API, tries each call once, and classifies its errors.
#[derive(Default)]
struct Rack(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    made: u32,
    machines: BTreeMap<MachineId, (TownId, ObservedMachine)>,
    disks: BTreeMap<VolumeId, (TownId, ObservedVolume)>,
}

impl Contents {
    /// Returns a new id. The rack never uses one twice.
    fn id<T: std::str::FromStr>(&mut self, kind: &str, action: Action) -> Result<T, ProviderError> {
        self.made += 1;
        let id = format!("{kind}-{}", self.made);
        id.parse().map_err(|_| ProviderError::Refused { action, cause: "the rack has no more ids".into() })
    }

    fn machine(&mut self, id: &MachineId, action: Action) -> Result<&mut ObservedMachine, ProviderError> {
        let known = self.machines.get_mut(id).map(|(_, machine)| machine);
        known.ok_or_else(|| ProviderError::Refused { action, cause: "there is no such machine".into() })
    }

    /// Attaches a disk to a machine, or detaches it.
    fn attach(&mut self, disk: &VolumeId, machine: Option<&MachineId>) {
        if let Some((_, disk)) = self.disks.get_mut(disk) {
            disk.bound_to = machine.cloned();
        }
    }
}

impl Rack {
    /// Locks the contents, never across an await.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        let contents = self.contents();
        contents.machines.is_empty() && contents.disks.is_empty()
    }
}

#[async_trait]
impl Apps for Rack {
    async fn ensure(&self, _app: &AppName) -> Result<(), ProviderError> {
        Ok(())
    }
}

#[async_trait]
impl Volumes for Rack {
    async fn volume(&self, _app: &AppName, id: &VolumeId) -> Result<Option<ObservedVolume>, ProviderError> {
        Ok(self.contents().disks.get(id).map(|(_, disk)| disk.clone()))
    }

    async fn volumes_of(&self, _app: &AppName, town: TownId) -> Result<Vec<ObservedVolume>, ProviderError> {
        Ok(self.contents().disks.values().filter(|(of, _)| *of == town).map(|(_, disk)| disk.clone()).collect())
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<ObservedVolume, ProviderError> {
        let mut contents = self.contents();
        let id: VolumeId = contents.id("disk", Action::CreateVolume)?;
        let region = Some(spec.region.clone());
        let disk = ObservedVolume { id: id.clone(), region, destroying: false, bound_to: None };
        contents.disks.insert(id, (spec.town, disk.clone()));
        Ok(disk)
    }

    async fn delete_volume(&self, _app: &AppName, id: &VolumeId) -> Result<Deletion, ProviderError> {
        let removed = self.contents().disks.remove(id);
        Ok(if removed.is_some() { Deletion::Accepted } else { Deletion::AlreadyAbsent })
    }
}

#[async_trait]
impl Machines for Rack {
    async fn machine(&self, _app: &AppName, id: &MachineId) -> Result<Option<ObservedMachine>, ProviderError> {
        Ok(self.contents().machines.get(id).map(|(_, machine)| machine.clone()))
    }

    async fn machines_of(&self, _app: &AppName, town: TownId) -> Result<Vec<ObservedMachine>, ProviderError> {
        let contents = self.contents();
        Ok(contents.machines.values().filter(|(of, _)| *of == town).map(|(_, machine)| machine.clone()).collect())
    }

    /// Adopts the town's own machine if there is one, so that a repeated call creates no second one.
    async fn create_machine(&self, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError> {
        let mut contents = self.contents();
        if let Some((_, own)) = contents.machines.values().find(|(of, _)| *of == spec.town) {
            return Ok(own.clone());
        }
        let id: MachineId = contents.id("machine", Action::CreateMachine)?;
        let machine = ObservedMachine { id: id.clone(), power: Power::On, volume: Some(spec.volume.clone()) };
        contents.attach(&spec.volume, Some(&id));
        contents.machines.insert(id, (spec.town, machine.clone()));
        Ok(machine)
    }

    async fn update_machine(&self, id: &MachineId, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError> {
        let mut contents = self.contents();
        let machine = contents.machine(id, Action::UpdateMachine)?;
        machine.volume = Some(spec.volume.clone());
        Ok(machine.clone())
    }

    async fn start_machine(&self, _app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        self.contents().machine(id, Action::StartMachine)?.power = Power::On;
        Ok(())
    }

    async fn stop_machine(&self, _app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        self.contents().machine(id, Action::StopMachine)?.power = Power::Off;
        Ok(())
    }

    /// Returns at once, because the rack's machines change at once.
    async fn await_machine(
        &self,
        _app: &AppName,
        id: &MachineId,
        state: Awaited,
        _timeout: Duration,
    ) -> Result<bool, ProviderError> {
        let power = self.contents().machines.get(id).map(|(_, machine)| machine.power);
        Ok(match state {
            Awaited::Started => power == Some(Power::On),
            Awaited::Stopped => power == Some(Power::Off),
            Awaited::Destroyed => power.is_none(),
        })
    }

    async fn delete_machine(&self, _app: &AppName, id: &MachineId) -> Result<Deletion, ProviderError> {
        let mut contents = self.contents();
        let Some((_, machine)) = contents.machines.remove(id) else { return Ok(Deletion::AlreadyAbsent) };
        if let Some(disk) = &machine.volume {
            contents.attach(disk, None);
        }
        Ok(Deletion::Accepted)
    }
}

#[async_trait]
impl Inventory for Rack {
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError> {
        Ok(RACK.parse().into_iter().collect())
    }

    async fn list(&self, _app: &AppName) -> Result<AppInventory, ProviderError> {
        let item = |resource: ResourceId, town: TownId, held_by: Option<MachineId>| InventoryItem {
            name: resource.to_string(),
            resource,
            tags: vec![TownTag::Whole(town)],
            made_at: None,
            held_by,
            destroying: false,
        };
        let contents = self.contents();
        let machines = contents.machines.values();
        let machines = machines.map(|(town, machine)| item(ResourceId::Machine(machine.id.clone()), *town, None));
        let disks = contents.disks.values();
        let disks = disks.map(|(town, disk)| item(ResourceId::Volume(disk.id.clone()), *town, disk.bound_to.clone()));
        Ok(AppInventory { items: machines.chain(disks).collect(), is_whole: true })
    }

    async fn lists(&self, _app: &AppName) -> Result<AppLists, ProviderError> {
        let contents = self.contents();
        Ok(AppLists {
            machines: contents.machines.values().map(|(_, machine)| machine.clone()).collect(),
            volumes: contents.disks.values().map(|(_, disk)| disk.clone()).collect(),
        })
    }
}

/// Sandboxes that are always healthy and have no rigs.
struct EmptySandboxes;

#[async_trait]
impl Sandboxes for EmptySandboxes {
    async fn health(&self, _at: &SandboxAddress) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn rigs(&self, _at: &SandboxAddress) -> Result<Vec<SandboxRig>, SandboxError> {
        Ok(Vec::new())
    }

    async fn add_rig(&self, _at: &SandboxAddress, _rig: &SandboxRig) -> Result<Option<Branch>, SandboxError> {
        Err(SandboxError::Refused { reason: "this sandbox has no room for rigs".to_owned() })
    }

    async fn remove_rig(&self, _at: &SandboxAddress, _rig: &RigName, _force: bool) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn sync(&self, _at: &SandboxAddress) -> Result<DateTime<Utc>, SandboxError> {
        Ok(SystemClock.now())
    }
}

#[tokio::main(crate = "gastown::tokio")]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in life_in_a_rack().await? {
        println!("{line}");
    }
    Ok(())
}

/// Builds a control plane on the rack.
async fn on_a_rack(rack: Arc<Rack>) -> Result<Gastown, Box<dyn Error>> {
    // In production the key pair belongs to the sandbox image, and its public part is a setting.
    let image_key = sealing::SandboxKey::generate();
    let secrets = SecretSettings::new(random_secret(), random_secret(), image_key.public_key().clone());
    let builder = Gastown::builder()
        .database("sqlite::memory:")
        .migrate_at_start(true)
        .provider(rack)
        .sandboxes(Arc::new(EmptySandboxes))
        .placement(AppPlacement::Shared(RACK.parse()?))
        .secrets(secrets)
        .image("registry.example.com/gastown-sandbox:1")
        .sandbox_env(SandboxEnv::new("https://kilo.example.com", "towns", random_secret()));
    Ok(builder.build().await?)
}

/// Creates a town, stops it and destroys it.
async fn life_in_a_rack() -> Result<Vec<String>, Box<dyn Error>> {
    let rack = Arc::new(Rack::default());
    let gastown = on_a_rack(rack.clone()).await?;
    let alice = gastown.add_user(&"alice".parse()?).await?.caller;
    let (towns, stop) = (gastown.towns(), CancellationToken::new());
    let running = tokio::spawn(gastown.run(stop.clone()));

    let created = towns.create_town(&alice, CreateTown::named("mill".parse()?)).await?.town;
    let stopped = towns.stop_town(&alice, created.id).await?.town;
    let destroyed = towns.destroy_town(&alice, DestroyTown::until_gone(created.id)).await?.town;

    stop.cancel();
    running.await?;
    let statuses = [created.status, stopped.status, destroyed.status].map(|status| format!("mill is {status}"));
    Ok(statuses.into_iter().chain(rack.is_empty().then(|| "the rack is empty".to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn town_leaves_an_empty_rack() {
        let lines = life_in_a_rack().await.unwrap();
        assert_eq!(lines, ["mill is running", "mill is stopped", "mill is destroyed", "the rack is empty"]);
    }
}
