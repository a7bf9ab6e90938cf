//! Anything at any time: users at several replicas, a Fly that fails at random and changes by itself, crashes. Once it is
//! quiet, all is well.
//!
//! Everything that is drawn follows from a seed; what comes of it also hangs on the clock. A failure prints its seed:
//! `GASTOWN_SEED=3 cargo test -p gastown-server --test it storm` draws the same again. Ten thousand more, in which the clock
//! is drawn too, are played in the tests of `gastown-orchestrator`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use fly_sim::{Call, Death, Effect, Fault, State};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::figures::say;
use crate::rows::Town;
use crate::stage::{ALICE, BOB, Engine, Setup, Stage, id_of, until};

/// Rounds of calls that are made at once; a replica crashes after each fourth.
const ROUNDS: usize = 12;
/// Calls of a round.
const AT_ONCE: usize = 6;
/// What a refused call may be refused with. No failure of Fly is an error of ours.
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
async fn after_a_storm_every_machine_is_accounted_for_on_sqlite() {
    storms(Engine::Sqlite, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_storm_every_machine_is_accounted_for_on_postgres() {
    storms(Engine::Postgres, 1..=6).await;
}

/// What was in the storms, for the log.
#[derive(Default)]
struct Figures {
    calls: usize,
    faults: usize,
    crashes: usize,
    events: usize,
}

async fn storms(engine: Engine, seeds: RangeInclusive<u64>) {
    let seeds = told_seed().map_or(seeds, |seed| seed..=seed);
    let mut figures = Figures::default();
    for seed in seeds.clone() {
        let named = Named { seed, engine };
        let mut storm = Storm::begin(seed, engine).await;
        storm.rage().await;
        storm.settle(&mut figures).await;
        drop(named);
    }
    let Figures { calls, faults, crashes, events } = figures;
    say(&format!(
        "storm, on {engine:?}: seeds {seeds:?}: {calls} calls of users, {faults} faults, {crashes} crashes, {events} \
         events behind our back"
    ));
}

#[expect(clippy::disallowed_methods, reason = "what a test is told by whoever runs it is no setting of the service")]
fn told_seed() -> Option<u64> {
    std::env::var("GASTOWN_SEED").ok().map(|seed| seed.parse().expect("a number"))
}

/// Says which seed it was, where one fails.
struct Named {
    seed: u64,
    engine: Engine,
}

impl Drop for Named {
    #[expect(clippy::print_stderr, reason = "a failed test says how to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, engine } = self;
            eprintln!(
                "--- the storm of seed {seed} on {engine:?}; again: GASTOWN_SEED={seed} cargo test -p gastown-server --test \
                 it storm"
            );
        }
    }
}

struct Storm {
    stage: Stage,
    jitter: StdRng,
    /// What happens by itself in this storm.
    event: Event,
    /// Which town each idempotency key is.
    keys: BTreeMap<(&'static str, String), Uuid>,
    figures: Figures,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Stopped,
    Moved,
    Removed,
}

/// A call that a user makes.
#[derive(Debug, Clone)]
struct Ask {
    user: &'static str,
    procedure: &'static str,
    input: Value,
    /// The town's owner, where it is another user.
    owner: Option<String>,
}

impl Storm {
    async fn begin(seed: u64, engine: Engine) -> Self {
        let mut setup = Setup::on(engine);
        setup.policy.timeouts.caller = Duration::from_millis(150);
        setup.policy.timeouts.lease = Duration::from_millis(1500);
        setup.policy.backoff.poll_interval = Duration::from_millis(30);
        setup.policy.drift.every = Duration::from_millis(200);
        let mut jitter = StdRng::seed_from_u64(seed);
        let event = *[Event::Stopped, Event::Moved, Event::Removed].choose(&mut jitter).unwrap();
        let mut stage = setup.raise().await;
        for _ in 0..jitter.random_range(1..=2) {
            stage.add_replica().await;
        }
        Self { stage, jitter, event, keys: BTreeMap::new(), figures: Figures::default() }
    }

    async fn rage(&mut self) {
        for round in 0..ROUNDS {
            for _ in 0..4 {
                self.stage.sim.inject(fault(&mut self.jitter));
            }
            self.ask_at_once(round).await;
            if self.jitter.random_bool(0.3) {
                self.befall();
            }
            if round % 4 == 3 {
                // What it drove is taken over when its lease has run out.
                self.stage.crash().await;
                self.stage.add_replica().await;
                self.figures.crashes += 1;
            }
        }
        self.stage.sim.clear_faults();
    }

    async fn ask_at_once(&mut self, round: usize) {
        let mut asks = Vec::new();
        for _ in 0..AT_ONCE {
            asks.push(self.ask().await);
        }
        let replicas = self.stage.replicas.len();
        let calls = asks
            .iter()
            .enumerate()
            .map(|(n, ask)| self.stage.call_at(n % replicas, ask.user, ask.procedure, ask.input.clone()));
        let answers = join_all(calls).await;
        self.figures.calls += answers.len();
        for (ask, answer) in asks.iter().zip(answers) {
            if let Some(owner) = &ask.owner {
                let refused = answer.as_ref().err().is_some_and(|refused| refused.code == "NOT_FOUND");
                assert!(refused, "round {round}: {ask:?}, which is {owner}'s: {answer:?}");
                continue;
            }
            match answer {
                Ok(made) if ask.input.get("idempotencyKey").is_some() => {
                    let key = (ask.user, ask.input["idempotencyKey"].to_string());
                    assert_eq!(*self.keys.entry(key).or_insert(id_of(&made)), id_of(&made), "round {round}: {ask:?}");
                }
                Ok(_) => {}
                Err(refused) => {
                    assert!(REFUSALS.contains(&refused.code.as_str()), "round {round}: {ask:?}: {refused:?}");
                }
            }
        }
    }

    /// A call that a user might make now; now and then on a town that is not theirs.
    async fn ask(&mut self) -> Ask {
        let user = *[ALICE, BOB].choose(&mut self.jitter).unwrap();
        let towns: Vec<_> = self.stage.rows.towns().await.into_iter().filter(|it| it.destroyed_at.is_none()).collect();
        let Some(town) = towns.get(self.jitter.random_range(0..6)) else { return self.ask_for_a_town(user) };
        let env = self.jitter.random_range(0..12);
        let user = if self.jitter.random_bool(0.1) { user } else { known(&town.user_id) };
        let of_town = json!({ "townId": town.id });
        let (procedure, input) = match env {
            0..3 => ("stopTown", of_town),
            3..6 => ("startTown", of_town),
            6..8 => ("destroyTown", of_town),
            8 => ("getTownStatus", of_town),
            9 => return self.ask_for_a_town(user),
            10 => match self.stage.rows.rigs().await.into_iter().find(|rig| rig.town_id == town.id) {
                Some(rig) => ("removeRig", json!({ "townId": town.id, "rigId": rig.id })),
                None => ("getTownStatus", of_town),
            },
            _ => {
                let name = format!("rig_{}", self.jitter.random_range(0..5));
                ("addRig", json!({"townId": town.id, "rigName": name, "repoUrl": "https://github.com/acme/app"}))
            }
        };
        let owner = (user != town.user_id).then(|| town.user_id.clone());
        Ask { user, procedure, input, owner }
    }

    /// With a key or without; the same key is the same town again.
    fn ask_for_a_town(&mut self, user: &'static str) -> Ask {
        let name = *["mill", "inn", "forge"].choose(&mut self.jitter).unwrap();
        let mut input = json!({ "townName": name });
        if self.jitter.random_bool(0.5) {
            input["idempotencyKey"] = json!(format!("key-{name}-{}", self.jitter.random_range(0..3)));
        }
        Ask { user, procedure: "createTown", input, owner: None }
    }

    /// Something happens to a machine without anybody of ours asking.
    fn befall(&mut self) {
        let machines = self.stage.sim.machines();
        let Some(machine) = machines.choose(&mut self.jitter) else { return };
        let happened = match (self.event, &machine.volume) {
            (Event::Stopped, _) => self.stage.sim.kill_machine(&machine.id, Death::Stopped),
            (Event::Removed, _) => self.stage.sim.kill_machine(&machine.id, Death::Destroyed),
            (Event::Moved, Some(volume)) => self.stage.sim.migrate_volume(volume).is_some(),
            (Event::Moved, None) => false,
        };
        self.figures.events += usize::from(happened);
    }

    /// Waits until all is quiet and rows tell the truth, then has the accounts checked.
    async fn settle(self, figures: &mut Figures) {
        let Self { stage, figures: own, .. } = self;
        let faults = stage.sim.calls().iter().filter(|record| record.faulted).count();
        assert!(faults >= 3, "no storm: {faults} faults");
        stage.idle().await;
        until("rows tell the truth", async || {
            let (towns, machines) = (stage.rows.towns().await, stage.sim.machines());
            let volumes: Vec<_> = stage.sim.volumes().into_iter().map(|volume| Some(volume.id)).collect();
            towns.iter().filter(|town| town.destroyed_at.is_none()).all(|town| {
                let machine = machines.iter().find(|machine| Some(&machine.id) == town.fly_machine_id.as_ref());
                volumes.contains(&town.fly_volume_id) && machine.map(|machine| machine.state) == stands(town)
            })
        })
        .await;
        // Who lost a machine gets another on its volume.
        let bare =
            stage.rows.towns().await.into_iter().filter(|it| it.destroyed_at.is_none() && it.fly_machine_id.is_none());
        for town in bare {
            stage.call(known(&town.user_id), "startTown", json!({ "townId": town.id })).await.unwrap();
        }
        figures.calls += own.calls;
        figures.faults += faults;
        figures.crashes += own.crashes;
        figures.events += own.events;
        stage.settle().await;
    }
}

/// The state of a town's machine, by its row; none where the row names no machine.
fn stands(town: &Town) -> Option<State> {
    let state = if town.status == "running" { State::Started } else { State::Stopped };
    town.fly_machine_id.is_some().then_some(state)
}

fn known(user: &str) -> &'static str {
    if user == ALICE { ALICE } else { BOB }
}

/// Something goes wrong at one of the next calls.
fn fault(jitter: &mut StdRng) -> Fault {
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
        Call::SandboxHealth,
        Call::SandboxSync,
        Call::SandboxAddRig,
        Call::SandboxRemoveRig,
        Call::SandboxListRigs,
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
    let (call, effect) = (*calls.choose(jitter).unwrap(), effects.choose(jitter).unwrap().clone());
    Fault::at(call, effect).nth(jitter.random_range(1..4)).times(jitter.random_range(1..4))
}
