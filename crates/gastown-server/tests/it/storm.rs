//! Random tests: users call several replicas, Fly fails and changes at random, replicas crash. The invariants must hold
//! at the end.
//!
//! All random values are derived from a seed, but the result also depends on the clock. A failure prints its seed:
//! `GASTOWN_SEED=3 cargo test -p gastown-server --test it storm` repeats it. The tests of `gastown-orchestrator` run ten
//! thousand more, with a simulated clock.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use fly_sim::{Call, Death, Effect, Fault, State};
use futures::future::join_all;
use gastown_sandbox_sim::{SANDBOX_ADD_RIG, SANDBOX_HEALTH, SANDBOX_LIST_RIGS, SANDBOX_REMOVE_RIG, SANDBOX_SYNC};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::figures::report;
use crate::rows::Town;
use crate::stage::{ALICE, BOB, Engine, Setup, Stage, id_of, until};

/// The number of rounds of concurrent calls. A replica crashes after every fourth.
const ROUNDS: usize = 12;
/// The calls of a round.
const AT_ONCE: usize = 6;
/// The allowed codes of refusals. A failure of Fly is not an internal error.
const REFUSALS: [&str; 7] = [
    "CONFLICT",
    "NOT_FOUND",
    "SERVICE_UNAVAILABLE",
    "BAD_GATEWAY",
    "GATEWAY_TIMEOUT",
    "UNPROCESSABLE_CONTENT",
    "TIMEOUT",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_resource_has_a_town_after_a_storm_on_sqlite() {
    storms(Engine::Sqlite, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_resource_has_a_town_after_a_storm_on_postgres() {
    storms(Engine::Postgres, 1..=6).await;
}

/// The counts of the storms, for the log.
#[derive(Default)]
struct Figures {
    calls: usize,
    faults: usize,
    crashes: usize,
    events: usize,
}

async fn storms(engine: Engine, seeds: RangeInclusive<u64>) {
    let seeds = given_seed().map_or(seeds, |seed| seed..=seed);
    let mut figures = Figures::default();
    for seed in seeds.clone() {
        let print_seed = PrintSeed { seed, engine };
        let mut storm = Storm::begin(seed, engine).await;
        storm.run().await;
        storm.finish(&mut figures).await;
        drop(print_seed);
    }
    let Figures { calls, faults, crashes, events } = figures;
    report(&format!(
        "storm, on {engine:?}: seeds {seeds:?}: {calls} calls of users, {faults} faults, {crashes} crashes, {events} \
         external changes"
    ));
}

#[expect(clippy::disallowed_methods, reason = "a parameter of the test, not a setting of the service")]
fn given_seed() -> Option<u64> {
    std::env::var("GASTOWN_SEED").ok().map(|seed| seed.parse().expect("a number"))
}

/// Prints the seed if the test fails.
struct PrintSeed {
    seed: u64,
    engine: Engine,
}

impl Drop for PrintSeed {
    #[expect(clippy::print_stderr, reason = "a failed test prints how to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, engine } = self;
            eprintln!(
                "--- failed with seed {seed} on {engine:?}; repeat with: GASTOWN_SEED={seed} cargo test -p gastown-server --test \
                 it storm"
            );
        }
    }
}

struct Storm {
    stage: Stage,
    rng: StdRng,
    /// The external change of this storm.
    event: Event,
    /// The town of each idempotency key.
    keys: BTreeMap<(&'static str, String), Uuid>,
    figures: Figures,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Stopped,
    Moved,
    Removed,
}

/// A call of a user.
#[derive(Debug, Clone)]
struct UserCall {
    user: &'static str,
    procedure: &'static str,
    input: Value,
    /// The town's owner, if it is another user.
    owner: Option<String>,
}

impl Storm {
    async fn begin(seed: u64, engine: Engine) -> Self {
        let mut setup = Setup::on(engine);
        setup.policy.timeouts.caller = Duration::from_millis(150);
        setup.policy.timeouts.lease = Duration::from_millis(1500);
        setup.policy.backoff.poll_interval = Duration::from_millis(30);
        setup.policy.drift.every = Duration::from_millis(200);
        let mut rng = StdRng::seed_from_u64(seed);
        let event = *[Event::Stopped, Event::Moved, Event::Removed].choose(&mut rng).unwrap();
        let mut stage = setup.start().await;
        for _ in 0..rng.random_range(1..=2) {
            stage.add_replica().await;
        }
        Self { stage, rng, event, keys: BTreeMap::new(), figures: Figures::default() }
    }

    async fn run(&mut self) {
        for round in 0..ROUNDS {
            for _ in 0..4 {
                self.stage.sim.inject(fault(&mut self.rng));
            }
            self.call_concurrently(round).await;
            if self.rng.random_bool(0.3) {
                self.change_externally();
            }
            if round % 4 == 3 {
                // Its operations are taken over after their leases.
                self.stage.crash().await;
                self.stage.add_replica().await;
                self.figures.crashes += 1;
            }
        }
        self.stage.sim.clear_faults();
    }

    async fn call_concurrently(&mut self, round: usize) {
        let mut planned = Vec::new();
        for _ in 0..AT_ONCE {
            planned.push(self.random_call().await);
        }
        let replicas = self.stage.replicas.len();
        let calls = planned
            .iter()
            .enumerate()
            .map(|(n, call)| self.stage.call_at(n % replicas, call.user, call.procedure, call.input.clone()));
        let answers = join_all(calls).await;
        self.figures.calls += answers.len();
        for (call, answer) in planned.iter().zip(answers) {
            if let Some(owner) = &call.owner {
                let refused = answer.as_ref().err().is_some_and(|refused| refused.code == "NOT_FOUND");
                assert!(refused, "round {round}: {call:?}, which is {owner}'s: {answer:?}");
                continue;
            }
            match answer {
                Ok(made) if call.input.get("idempotencyKey").is_some() => {
                    let key = (call.user, call.input["idempotencyKey"].to_string());
                    assert_eq!(*self.keys.entry(key).or_insert(id_of(&made)), id_of(&made), "round {round}: {call:?}");
                }
                Ok(_) => {}
                Err(refused) => {
                    assert!(REFUSALS.contains(&refused.code.as_str()), "round {round}: {call:?}: {refused:?}");
                }
            }
        }
    }

    /// Returns a random call, sometimes to a town of another user.
    async fn random_call(&mut self) -> UserCall {
        let user = *[ALICE, BOB].choose(&mut self.rng).unwrap();
        let towns: Vec<_> = self.stage.rows.towns().await.into_iter().filter(|it| it.destroyed_at.is_none()).collect();
        let Some(town) = towns.get(self.rng.random_range(0..6)) else { return self.random_create(user) };
        let choice = self.rng.random_range(0..12);
        let user = if self.rng.random_bool(0.1) { user } else { known(&town.user_id) };
        let of_town = json!({ "townId": town.id });
        let (procedure, input) = match choice {
            0..3 => ("stopTown", of_town),
            3..6 => ("startTown", of_town),
            6..8 => ("destroyTown", of_town),
            8 => ("getTownStatus", of_town),
            9 => return self.random_create(user),
            10 => match self.stage.rows.rigs().await.into_iter().find(|rig| rig.town_id == town.id) {
                Some(rig) => ("removeRig", json!({ "townId": town.id, "rigId": rig.id })),
                None => ("getTownStatus", of_town),
            },
            _ => {
                let name = format!("rig_{}", self.rng.random_range(0..5));
                ("addRig", json!({"townId": town.id, "rigName": name, "repoUrl": "https://github.com/acme/app"}))
            }
        };
        let owner = (user != town.user_id).then(|| town.user_id.clone());
        UserCall { user, procedure, input, owner }
    }

    /// Returns a create, with or without a key. The same key means the same town.
    fn random_create(&mut self, user: &'static str) -> UserCall {
        let name = *["mill", "inn", "forge"].choose(&mut self.rng).unwrap();
        let mut input = json!({ "townName": name });
        if self.rng.random_bool(0.5) {
            input["idempotencyKey"] = json!(format!("key-{name}-{}", self.rng.random_range(0..3)));
        }
        UserCall { user, procedure: "createTown", input, owner: None }
    }

    /// Makes an external change of a machine.
    fn change_externally(&mut self) {
        let machines = self.stage.sim.machines();
        let Some(machine) = machines.choose(&mut self.rng) else { return };
        let happened = match (self.event, &machine.volume) {
            (Event::Stopped, _) => self.stage.sim.kill_machine(&machine.id, Death::Stopped),
            (Event::Removed, _) => self.stage.sim.kill_machine(&machine.id, Death::Destroyed),
            (Event::Moved, Some(volume)) => self.stage.sim.migrate_volume(volume).is_some(),
            (Event::Moved, None) => false,
        };
        self.figures.events += usize::from(happened);
    }

    /// Waits until no operation is in flight and the rows agree with Fly, then checks the invariants.
    async fn finish(self, figures: &mut Figures) {
        let Self { stage, figures: own, .. } = self;
        let faults = stage.sim.calls().iter().filter(|record| record.faulted).count();
        assert!(faults >= 3, "only {faults} faults");
        stage.idle().await;
        until("the rows agree with Fly", async || {
            let (towns, machines) = (stage.rows.towns().await, stage.sim.machines());
            let volumes: Vec<_> = stage.sim.volumes().into_iter().map(|volume| Some(volume.id)).collect();
            towns.iter().filter(|town| town.destroyed_at.is_none()).all(|town| {
                let machine = machines.iter().find(|machine| Some(&machine.id) == town.fly_machine_id.as_ref());
                volumes.contains(&town.fly_volume_id) && machine.map(|machine| machine.state) == expected_state(town)
            })
        })
        .await;
        // A start creates a new machine on the volume.
        let bare =
            stage.rows.towns().await.into_iter().filter(|it| it.destroyed_at.is_none() && it.fly_machine_id.is_none());
        for town in bare {
            stage.call(known(&town.user_id), "startTown", json!({ "townId": town.id })).await.unwrap();
        }
        figures.calls += own.calls;
        figures.faults += faults;
        figures.crashes += own.crashes;
        figures.events += own.events;
        stage.check_invariants().await;
    }
}

/// Returns the state of a town's machine according to its row, if the row names a machine.
fn expected_state(town: &Town) -> Option<State> {
    let state = if town.status == "running" { State::Started } else { State::Stopped };
    town.fly_machine_id.is_some().then_some(state)
}

fn known(user: &str) -> &'static str {
    if user == ALICE { ALICE } else { BOB }
}

/// Returns a random fault at one of the next calls.
fn fault(rng: &mut StdRng) -> Fault {
    let calls = [
        Call::CreateVolume,
        Call::CreateMachine,
        Call::GetMachine,
        Call::StartMachine,
        Call::StopMachine,
        Call::UpdateMachine,
        Call::DeleteMachine,
        Call::DeleteVolume,
        Call::ListMachines,
        Call::ListVolumes,
        Call::Wait,
        SANDBOX_HEALTH,
        SANDBOX_SYNC,
        SANDBOX_ADD_RIG,
        SANDBOX_REMOVE_RIG,
        SANDBOX_LIST_RIGS,
    ];
    let effects = [
        Effect::throttled(),
        Effect::server_error(),
        Effect::DropRequest,
        Effect::DropAnswer,
        Effect::Delay { millis: 40 },
        Effect::ApplyThenAnswer { status: 503, body: Value::Null },
        Effect::ApplyThenAnswer { status: 408, body: Value::Null },
    ];
    let (call, effect) = (*calls.choose(rng).unwrap(), effects.choose(rng).unwrap().clone());
    Fault::at(call, effect).nth(rng.random_range(1..4)).times(rng.random_range(1..4))
}
