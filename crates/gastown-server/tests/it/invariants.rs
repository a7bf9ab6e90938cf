//! The invariants after every test: every machine and volume belongs to a town.

use fly_sim::State;
use serde_json::json;

use crate::client;
use crate::rows::Town;
use crate::stage::{APP, FLY_TOKEN, Setup, Stage, until};

impl Stage {
    /// Waits until all operations have ended, checks the invariants, and shuts down.
    pub(crate) async fn check_invariants(mut self) {
        assert!(!self.replicas.is_empty(), "no replica is left to finish the operations");
        self.idle().await;
        // An operation that was taken over may still have to delete a resource.
        until("every machine and volume belongs to a town", async || self.unaccounted().await.is_empty()).await;
        self.check_towns().await;
        assert_eq!(self.sim.violations(), [], "calls that do not agree with Fly's document");
        for replica in std::mem::take(&mut self.replicas) {
            assert_eq!(replica.log.errors(), Vec::<String>::new(), "errors were logged");
            replica.stop().await;
        }
    }

    /// Returns machines and volumes that do not belong to exactly one live town.
    async fn unaccounted(&self) -> Vec<String> {
        let towns = self.rows.towns().await;
        let living: Vec<_> = towns.iter().filter(|town| town.destroyed_at.is_none()).collect();
        let owners = |owned: &dyn Fn(&Town) -> bool| living.iter().filter(|town| owned(town)).count();
        let mut unaccounted = Vec::new();
        for machine in self.sim.machines() {
            let owned = |town: &Town| {
                town.fly_machine_id.as_ref() == Some(&machine.id)
                    && machine.metadata.get("gastown_town_id") == Some(&town.id.to_string())
                    && machine.volume == town.fly_volume_id
            };
            if owners(&owned) != 1 {
                unaccounted.push(format!("machine {} {}", machine.id, machine.name));
            }
        }
        for volume in self.sim.volumes() {
            if owners(&|town| town.fly_volume_id.as_ref() == Some(&volume.id)) != 1 {
                unaccounted.push(format!("volume {} {}", volume.id, volume.name));
            }
        }
        unaccounted
    }

    /// Checks that every row agrees with Fly.
    async fn check_towns(&self) {
        let (machines, volumes) = (self.sim.machines(), self.sim.volumes());
        for town in self.rows.towns().await {
            if town.destroyed_at.is_some() {
                assert_eq!(
                    (town.status.as_str(), &town.fly_machine_id, &town.fly_volume_id),
                    ("destroyed", &None, &None)
                );
                assert!(town.sandbox_id.ends_with(&format!("~{}", town.id)), "{town:?}");
                continue;
            }
            let machine = machines.iter().find(|machine| machine.id == town.machine());
            let machine = machine.unwrap_or_else(|| panic!("no machine of {town:?}"));
            assert!(volumes.iter().any(|volume| volume.id == town.volume()), "no volume of {town:?}");
            let state = match town.status.as_str() {
                "running" => State::Started,
                "stopped" => State::Stopped,
                other => panic!("{other} without an operation: {town:?}"),
            };
            assert_eq!((machine.state, machine.serving), (state, state == State::Started), "{town:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unaccounted_resource_is_noticed() {
    let stage = Setup::sqlite().start().await;
    stage.running("mill").await;
    assert_eq!(stage.unaccounted().await, Vec::<String>::new());
    let url = format!("{}/v1/apps/{APP}", stage.sim.url());
    for (path, body) in [
        ("volumes", json!({"name": "foreign", "region": "iad", "size_gb": 1})),
        ("machines", json!({"name": "foreign", "region": "iad", "config": {"image": "registry.example.com/other"}})),
    ] {
        let made =
            client::http().post(format!("{url}/{path}")).bearer_auth(FLY_TOKEN).json(&body).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
    }
    assert_eq!(stage.unaccounted().await.len(), 2);
}
