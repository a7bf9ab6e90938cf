//! Every fault, as HTTP, at every call to Fly and to the sandbox that an operation makes: all ends well, and soon.
//!
//! The calls of an operation are found by a few undisturbed lives of a town. Then one town after the other lives, and each
//! of its operations is struck once. The same is told of many more faults, and of crashes, in the tests of
//! `gastown-orchestrator`, where time and processes are the test's to command.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fly_sim::{Call, Capacity, Effect, Fault, State};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::figures::say;
use crate::stage::{ALICE, Setup, Stage, id_of, until};

/// Stages at once: a life is mostly waiting.
const STAGES: usize = 4;
/// Undisturbed lives that say which calls are made each time.
const LIVES: usize = 3;
/// What a machine takes for anything.
const SOON: Duration = Duration::from_millis(60);
const REPO: &str = "https://github.com/acme/app";
/// How often a case is tried whose call was not made this time: looks that repeat do not do so equally often.
const TRIES: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Create,
    AddRig,
    RemoveRig,
    Stop,
    Start,
    Destroy,
}

/// A town's life.
const LIFE: [Operation; 6] =
    [Operation::Create, Operation::AddRig, Operation::RemoveRig, Operation::Stop, Operation::Start, Operation::Destroy];

/// A fault at the nth call of its kind that an operation makes.
#[derive(Debug, Clone)]
struct Case {
    call: Call,
    nth: u32,
    effect: Effect,
    tries: usize,
}

type Cases = BTreeMap<Operation, VecDeque<Case>>;
/// What can befall a call.
type Faults = fn(Call) -> Vec<Effect>;

/// Every call that the towns of one shared app need. A fault that reaches none of a kind shows nothing.
const CALLS: [Call; 18] = [
    Call::GetApp,
    Call::ListVolumes,
    Call::CreateVolume,
    Call::GetVolume,
    Call::DeleteVolume,
    Call::ListMachines,
    Call::CreateMachine,
    Call::GetMachine,
    Call::UpdateMachine,
    Call::DeleteMachine,
    Call::StartMachine,
    Call::StopMachine,
    Call::Wait,
    Call::SandboxHealth,
    Call::SandboxListRigs,
    Call::SandboxAddRig,
    Call::SandboxRemoveRig,
    Call::SandboxSync,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fly_answers_at_whatever_call_all_ends_well_on_sqlite() {
    enumerate("SQLite", Setup::sqlite, everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fly_answers_at_the_calls_that_change_something_all_ends_well_on_postgres() {
    enumerate("Postgres", Setup::postgres, the_worst).await;
}

/// Dropped request, dropped answer, 408, 429, 500, 503; no room, in Fly's words; a list that misses its newest.
fn everything(call: Call) -> Vec<Effect> {
    let applied_though_timed_out = Effect::ApplyThenAnswer { status: 408, body: Value::Null };
    let unavailable = Effect::refusal(503, "service unavailable");
    let mut effects =
        vec![Effect::DropRequest, Effect::DropAnswer, applied_though_timed_out, Effect::throttled(), unavailable];
    effects.push(Effect::server_error());
    let full = |disguises: &[Capacity]| disguises.iter().map(|disguise| disguise.effect()).collect::<Vec<_>>();
    effects.extend(match call {
        Call::CreateVolume => {
            full(&[Capacity::Region, Capacity::VolumeAborted, Capacity::VolumePlain, Capacity::Quota])
        }
        Call::CreateMachine => full(&[Capacity::Region, Capacity::VolumeHost, Capacity::Host, Capacity::Quota]),
        Call::StartMachine | Call::UpdateMachine => full(&[Capacity::Host]),
        Call::ListMachines | Call::ListVolumes => vec![Effect::StaleList],
        _ => Vec::new(),
    });
    effects
}

/// Where something changes: applied and not told, told to have failed and not applied.
fn the_worst(call: Call) -> Vec<Effect> {
    match call {
        Call::CreateVolume | Call::CreateMachine | Call::UpdateMachine | Call::StartMachine | Call::StopMachine => {}
        Call::DeleteMachine | Call::DeleteVolume | Call::SandboxAddRig | Call::SandboxRemoveRig => {}
        _ => return Vec::new(),
    }
    vec![Effect::DropAnswer, Effect::server_error()]
}

/// Tells every case, on a few stages at once; says how many there were.
async fn enumerate(engine: &str, setup: fn() -> Setup, faults: Faults) {
    let mut lives = join_all((0..STAGES).map(|_| Lives::begin(setup()))).await;
    let mut shares: Vec<Cases> = vec![Cases::new(); STAGES];
    for (number, (operation, case)) in lives[0].cases(faults).await.into_iter().enumerate() {
        shares[number % STAGES].entry(operation).or_default().push_back(case);
    }
    let told = lives.into_iter().zip(shares).map(|(lives, cases)| lives.tell(cases));
    let struck: Vec<_> = join_all(told).await.into_iter().flatten().collect();

    let kinds: BTreeSet<Call> = struck.iter().map(|(_, call)| *call).collect();
    let wanted = CALLS.into_iter().filter(|call| !faults(*call).is_empty()).collect();
    assert_eq!(kinds, wanted, "the calls that were struck");
    let mut told: BTreeMap<Operation, usize> = BTreeMap::new();
    for (operation, _) in &struck {
        *told.entry(*operation).or_default() += 1;
    }
    let told: Vec<_> = told.iter().map(|(operation, cases)| format!("{operation:?} {cases}")).collect();
    say(&format!("enumerated over HTTP, on {engine}: {} cases: {}", struck.len(), told.join(", ")));
}

/// Towns that live on one stage, one after the other.
struct Lives {
    stage: Stage,
    number: usize,
}

impl Lives {
    async fn begin(mut setup: Setup) -> Self {
        setup.policy.most_towns = u32::MAX;
        let timing = &mut setup.sim.timing;
        (timing.boot, timing.stop, timing.destroy, timing.volume_release) = (SOON, SOON, SOON, SOON / 2);
        Self { stage: Setup { regions: "iad,fra", ..setup }.raise().await, number: 0 }
    }

    /// The calls that each operation makes in every undisturbed life, and once those that it makes in some, with each of
    /// their faults.
    async fn cases(&mut self, faults: Faults) -> Vec<(Operation, Case)> {
        let mut made: BTreeMap<(Operation, Call), Vec<u32>> = BTreeMap::new();
        for _ in 0..LIVES {
            let mut town = None;
            for operation in LIFE {
                let before = self.stage.sim.calls().len();
                self.go_through(operation, &mut town).await;
                let mut counts: BTreeMap<Call, u32> = BTreeMap::new();
                for record in &self.stage.sim.calls()[before..] {
                    *counts.entry(record.call).or_default() += 1;
                }
                for (call, count) in counts {
                    made.entry((operation, call)).or_default().push(count);
                }
            }
        }
        let mut cases = Vec::new();
        for ((operation, call), counts) in made {
            assert!(CALLS.contains(&call), "a new call: {operation:?} {call:?}");
            let each_time = if counts.len() == LIVES { counts.into_iter().min().unwrap_or_default() } else { 1 };
            for nth in 1..=each_time {
                let of_call = faults(call).into_iter().map(|effect| Case { call, nth, effect, tries: 0 });
                cases.extend(of_call.map(|case| (operation, case)));
            }
        }
        cases
    }

    /// Tells this stage's share of the cases; what was struck.
    async fn tell(mut self, mut cases: Cases) -> Vec<(Operation, Call)> {
        let mut struck = Vec::new();
        while cases.values().any(|cases| !cases.is_empty()) {
            self.one(&mut cases, &mut struck).await;
        }
        self.stage.settle().await;
        struck
    }

    /// One town's life, in which each operation has one of its cases.
    async fn one(&mut self, cases: &mut Cases, struck: &mut Vec<(Operation, Call)>) {
        let mut town = None;
        for operation in LIFE {
            if self.may_be_left_out(operation, town, cases).await {
                continue;
            }
            let Some(mut case) = cases.get_mut(&operation).and_then(VecDeque::pop_front) else {
                self.go_through(operation, &mut town).await;
                continue;
            };
            let before = self.stage.sim.calls().len();
            self.stage.sim.inject(Fault::at(case.call, case.effect.clone()).nth(case.nth));
            self.go_through(operation, &mut town).await;
            self.stage.sim.clear_faults();
            if self.stage.sim.calls()[before..].iter().any(|made| made.faulted && made.call == case.call) {
                struck.push((operation, case.call));
                continue;
            }
            case.tries += 1;
            // Looks are repeated as often as the clock will have it, and nobody waits where the machine was quicker.
            let is_certain = case.nth == 1 && case.call != Call::Wait;
            if case.tries < TRIES {
                cases.entry(operation).or_default().push_back(case);
            } else {
                assert!(!is_certain, "never reached: {operation:?} {case:?}");
            }
        }
    }

    /// Whether nothing is to be told of it and nothing that follows needs it.
    async fn may_be_left_out(&self, operation: Operation, town: Option<Uuid>, cases: &Cases) -> bool {
        let none_of = |some: [Operation; 2]| some.iter().all(|it| cases.get(it).is_none_or(VecDeque::is_empty));
        match operation {
            Operation::Create | Operation::Destroy => false,
            Operation::AddRig => none_of([Operation::AddRig, Operation::RemoveRig]),
            Operation::RemoveRig => {
                let rigs = self.stage.rows.rigs().await;
                !rigs.iter().any(|rig| Some(rig.town_id) == town && rig.rig_name == "second")
            }
            Operation::Stop => none_of([Operation::Stop, Operation::Start]),
            Operation::Start => self.stage.rows.town(town.unwrap()).await.status == "running",
        }
    }

    /// Asks for it, waits until all is quiet, and looks at row and world.
    async fn go_through(&mut self, operation: Operation, town: &mut Option<Uuid>) {
        let stage = &self.stage;
        let what = format!("{operation:?} after {:?}", stage.sim.calls().last());
        match (operation, *town) {
            (Operation::Create, _) | (_, None) => {
                self.number += 1;
                let number = self.number;
                let rig = json!({ "rigName": "first", "repoUrl": REPO, "branch": "main" });
                let (name, key) = (format!("mill-{number}"), format!("key-{number}"));
                let wish = json!({ "townName": name, "idempotencyKey": key, "config": { "rigs": [rig] } });
                let made = stage.call(ALICE, "createTown", wish.clone()).await.expect(&what);
                let again = stage.call(ALICE, "createTown", wish).await.expect(&what);
                assert_eq!((id_of(&made), &made["status"]), (id_of(&again), &again["status"]), "{what}");
                *town = Some(id_of(&made));
                self.until_rigs_are(&["first"]).await;
            }
            (Operation::AddRig, Some(town)) => {
                stage.add_rig(town, "second", REPO).await.expect(&what);
                self.until_rigs_are(&["first", "second"]).await;
            }
            (Operation::RemoveRig, Some(town)) => {
                let rig = stage.rows.rigs().await.into_iter().rfind(|rig| rig.town_id == town).unwrap();
                stage.call(ALICE, "removeRig", json!({ "townId": town, "rigId": rig.id })).await.expect(&what);
                self.until_rigs_are(&["first"]).await;
            }
            (Operation::Stop, Some(town)) => drop(stage.on_town("stopTown", town).await.expect(&what)),
            (Operation::Start, Some(town)) => drop(stage.on_town("startTown", town).await.expect(&what)),
            (Operation::Destroy, Some(town)) => drop(stage.on_town("destroyTown", town).await.expect(&what)),
        }
        stage.idle().await;
        self.look_at(operation, town.unwrap()).await;
    }

    /// Rigs that could not be settled when they were asked for are settled by the workers.
    async fn until_rigs_are(&self, names: &[&str]) {
        let wished: Vec<_> = names.iter().map(|name| (*name, "active")).collect();
        until("the rigs are settled", async || {
            let (towns, rigs) = (self.stage.rows.towns().await, self.stage.rows.rigs().await);
            let town = towns.iter().rfind(|town| town.destroyed_at.is_none()).map(|town| town.id);
            let rigs = rigs.iter().filter(|rig| Some(rig.town_id) == town);
            rigs.map(|rig| (rig.rig_name.as_str(), rig.status.as_str())).collect::<Vec<_>>() == wished
        })
        .await;
    }

    /// One machine and one volume, in the state that the row tells; none of a town that is destroyed.
    async fn look_at(&self, operation: Operation, town: Uuid) {
        let row = self.stage.rows.town(town).await;
        let (machines, volumes) = (self.stage.sim.machines(), self.stage.sim.volumes());
        let machines: Vec<_> = machines.iter().map(|machine| (Some(machine.id.clone()), machine.state)).collect();
        let volumes: Vec<_> = volumes.into_iter().map(|volume| volume.id).collect();
        let last = self.stage.sim.calls().into_iter().rev().find(|record| record.faulted);
        let what = format!("{operation:?}, struck last: {last:?}: {row:?}");
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
