//! Towns on one stage, one after the other, with the checks after each of their operations.

use std::collections::BTreeMap;
use std::time::Duration;

use fly_sim::{Call, State};
use serde_json::json;
use uuid::Uuid;

use super::{LIFE, Operation};
use crate::rows::Rig;
use crate::stage::{ALICE, Setup, Stage, id_of, until};

/// The number of undisturbed lives that determine the calls of each operation.
const LIVES: usize = 3;
/// The time of every transition of a machine.
const SOON: Duration = Duration::from_millis(60);
/// The time-out of an operation. It is far longer than needed, even on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(50);
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
const REPO: &str = "https://github.com/acme/app";
/// The rig in the create.
const FIRST: &str = "first";
/// The rig that is added and removed.
pub(super) const SECOND: &str = "second";

/// Returns how often each operation made each call, in each undisturbed life.
pub(super) async fn undisturbed(setup: Setup) -> BTreeMap<(Operation, Call), [u32; LIVES]> {
    // Without sweeps, the operation itself makes all calls, even on a slow machine.
    let mut lives = Lives::begin(setup, NEVER).await;
    let mut made: BTreeMap<(Operation, Call), [u32; LIVES]> = BTreeMap::new();
    for life in 0..LIVES {
        let mut town = None;
        for operation in LIFE {
            let before = lives.stage.sim.calls().len();
            lives.run_operation(operation, &mut town).await;
            for record in &lives.stage.sim.calls()[before..] {
                made.entry((operation, record.call)).or_default()[life] += 1;
            }
        }
    }
    lives.stage.check_invariants().await;
    made
}

/// A stage and its towns.
pub(super) struct Lives {
    pub(super) stage: Stage,
    number: usize,
}

impl Lives {
    pub(super) async fn begin(mut setup: Setup, sweep_every: Duration) -> Self {
        let policy = &mut setup.policy;
        policy.limits.towns_per_user = u32::MAX;
        policy.backoff.sweep_every = sweep_every;
        for timeout in [
            &mut policy.timeouts.caller,
            &mut policy.timeouts.create,
            &mut policy.timeouts.start,
            &mut policy.timeouts.stop,
        ] {
            *timeout = TIMEOUT;
        }
        let timing = &mut setup.sim.timing;
        (timing.boot, timing.stop, timing.destroy, timing.volume_release) = (SOON, SOON, SOON, SOON / 2);
        Self { stage: Setup { regions: "iad,fra", ..setup }.start().await, number: 0 }
    }

    /// Makes the call, waits until no operation is in flight, and checks row and Fly.
    pub(super) async fn run_operation(&mut self, operation: Operation, town: &mut Option<Uuid>) {
        let what = format!("{operation:?} after {:?}", self.stage.sim.calls().last());
        match (operation, *town) {
            (Operation::Create, _) | (_, None) => *town = Some(self.create(&what).await),
            (Operation::AddRig, Some(town)) => {
                self.stage.add_rig(town, SECOND, REPO).await.expect(&what);
                self.until_rigs_are(town, &[FIRST, SECOND]).await;
            }
            (Operation::RemoveRig, Some(town)) => {
                let rig = self.rig_of(town, SECOND).await.expect(&what).id;
                self.stage.call(ALICE, "removeRig", json!({ "townId": town, "rigId": rig })).await.expect(&what);
                self.until_rigs_are(town, &[FIRST]).await;
            }
            (Operation::Stop, Some(town)) => drop(self.stage.on_town("stopTown", town).await.expect(&what)),
            (Operation::Start, Some(town)) => drop(self.stage.on_town("startTown", town).await.expect(&what)),
            (Operation::Destroy, Some(town)) => drop(self.stage.on_town("destroyTown", town).await.expect(&what)),
        }
        self.stage.idle().await;
        self.check(operation, town.unwrap()).await;
    }

    /// Creates a town twice with one key, as after a lost answer.
    async fn create(&mut self, what: &str) -> Uuid {
        self.number += 1;
        let number = self.number;
        let rig = json!({ "rigName": FIRST, "repoUrl": REPO, "branch": "main" });
        let (name, key) = (format!("mill-{number}"), format!("key-{number}"));
        let request = json!({ "townName": name, "idempotencyKey": key, "config": { "rigs": [rig] } });
        let made = self.stage.call(ALICE, "createTown", request.clone()).await.expect(what);
        let again = self.stage.call(ALICE, "createTown", request).await.expect(what);
        assert_eq!((id_of(&made), &made["status"]), (id_of(&again), &again["status"]), "{what}");
        let town = id_of(&made);
        self.until_rigs_are(town, &[FIRST]).await;
        town
    }

    /// Returns the town's rig with this name.
    pub(super) async fn rig_of(&self, town: Uuid, name: &str) -> Option<Rig> {
        let rigs = self.stage.rows.rigs().await;
        rigs.into_iter().find(|rig| rig.town_id == town && rig.rig_name == name)
    }

    /// Waits until the workers have reconciled the rigs.
    async fn until_rigs_are(&self, town: Uuid, names: &[&str]) {
        let expected: Vec<_> = names.iter().map(|name| (*name, "active")).collect();
        until("the rigs are active", async || {
            let mut rigs = self.stage.rows.rigs().await;
            rigs.retain(|rig| rig.town_id == town);
            rigs.iter().map(|rig| (rig.rig_name.as_str(), rig.status.as_str())).collect::<Vec<_>>() == expected
        })
        .await;
    }

    /// Checks that there is one machine and one volume, in the state of the row. A destroyed town has none.
    async fn check(&self, operation: Operation, town: Uuid) {
        let row = self.stage.rows.town(town).await;
        let (machines, volumes) = (self.stage.sim.machines(), self.stage.sim.volumes());
        let machines: Vec<_> = machines.iter().map(|machine| (Some(machine.id.clone()), machine.state)).collect();
        let volumes: Vec<_> = volumes.into_iter().map(|volume| volume.id).collect();
        let last = self.stage.sim.calls().into_iter().rev().find(|record| record.faulted);
        let what = format!("{operation:?}, last fault: {last:?}: {row:?}");
        let (status, state) = match operation {
            Operation::Stop => ("stopped", Some(State::Stopped)),
            Operation::Destroy => ("destroyed", None),
            _ => ("running", Some(State::Started)),
        };
        assert_eq!(row.status, status, "{what}");
        assert_eq!(machines, Vec::from_iter(state.map(|state| (row.fly_machine_id.clone(), state))), "{what}");
        assert_eq!(volumes, Vec::from_iter(row.fly_volume_id.clone()), "{what}");
    }
}
