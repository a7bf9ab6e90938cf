//! Loses every commit of a town's life on its way to Postgres, and every answer to one on its way back (FM-46). Every
//! operation must end well, and nothing may be created twice.
//!
//! The replica reaches its database through a proxy that drops the connection. Its operation is taken over after its
//! lease, which the test expires. A caller that is refused because of the database repeats the call, as a client would.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use ephemeral_db::{Cut, PostgresProxy};
use fly_sim::State;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::figures::report;
use crate::life_of_a_town::{LIFE, Operation};
use crate::stage::{ALICE, Setup, Stage, TIMEOUT, id_of, until};

/// The number of concurrent stages for each kind of loss. Each tests every n-th commit. The tests mostly wait.
const STAGES: u32 = 4;
/// The most repeats of a call. Only one commit is lost.
const REPEATS: usize = 1;
/// The log messages of a replica that abandons its claim.
const ABANDONED: [&str; 2] = ["reconcile interrupted", "sweep failed"];
const REPO: &str = "https://github.com/acme/app";

impl Operation {
    /// The events of the operation, once each.
    const fn events(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Create => &[("create", "accepted"), ("create", "done")],
            Self::AddRig => &[("add_rig", "accepted")],
            Self::RemoveRig => &[("remove_rig", "done")],
            Self::Stop => &[("stop", "accepted"), ("stop", "done")],
            Self::Start => &[("start", "accepted"), ("start", "done")],
            // The ids of the machine and of the volume are cleared together.
            Self::Destroy => &[("destroy", "accepted"), ("destroy", "done"), ("fly_ids", "changed")],
        }
    }

    /// The code of a repeated call whose first attempt was executed.
    const fn code_of_repeat(self) -> Option<&'static str> {
        match self {
            // A create has a key, and a stop or start in flight is joined.
            Self::Create | Self::Stop | Self::Start => None,
            Self::AddRig => Some("CONFLICT"),
            Self::RemoveRig | Self::Destroy => Some("NOT_FOUND"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lost_commit_or_answer_ends_well_and_once() {
    let mut figures = Vec::new();
    let lives = [Cut::Request, Cut::Answer].map(|cut| join_all((1..=STAGES).map(|first| Lives::begin(cut, first))));
    let runs = join_all(join_all(lives).await.into_iter().flatten().map(Lives::run)).await;
    for cut in [Cut::Request, Cut::Answer] {
        let of_cut = runs.iter().filter(|(of_run, _)| *of_run == cut).flat_map(|(_, struck)| struck);
        let mut cases: BTreeMap<Operation, usize> = BTreeMap::new();
        of_cut.for_each(|operation| *cases.entry(*operation).or_default() += 1);
        assert!(cases.keys().copied().eq(LIFE), "{cut:?} struck only {cases:?}");
        let cases: Vec<_> = cases.iter().map(|(operation, cases)| format!("{operation:?} {cases}")).collect();
        figures.push(format!("{cut:?} lost: {}", cases.join(", ")));
    }
    let cases: usize = runs.iter().map(|(_, struck)| struck.len()).sum();
    report(&format!("commits cut over HTTP, on Postgres: {cases} cases: {}", figures.join("; ")));
}

/// Towns on one stage, one after the other. Each of their operations loses one commit.
struct Lives {
    stage: Stage,
    cut: Cut,
    /// The next commit to lose, counted from the start of the operation. An operation without further commits is absent.
    next: BTreeMap<Operation, u32>,
    towns: usize,
}

impl Lives {
    async fn begin(cut: Cut, first: u32) -> Self {
        let mut setup = Setup { through_proxy: true, ..Setup::postgres() };
        let policy = &mut setup.policy;
        policy.limits.towns_per_user = u32::MAX;
        // A busy machine must not exceed a deadline.
        (policy.timeouts.caller, policy.timeouts.create) = (TIMEOUT, 2 * TIMEOUT);
        (policy.timeouts.start, policy.timeouts.stop) = (2 * TIMEOUT, 2 * TIMEOUT);
        let stage = setup.start().await;
        Self { stage, cut, next: LIFE.map(|operation| (operation, first)).into(), towns: 0 }
    }

    /// Runs until every operation has completed without a loss. Returns the operations with a loss.
    async fn run(mut self) -> (Cut, Vec<Operation>) {
        let mut struck = Vec::new();
        while !self.next.is_empty() {
            self.run_one(&mut struck).await;
        }
        self.stage.check_invariants().await;
        (self.cut, struck)
    }

    /// Runs the life of one town.
    async fn run_one(&mut self, struck: &mut Vec<Operation>) {
        let (mut town, mut lived) = (None, Vec::new());
        // Chosen before the life begins, so that a rig that was added is also removed.
        let life: Vec<_> = LIFE.into_iter().filter(|operation| !self.may_be_skipped(*operation)).collect();
        for operation in life {
            let (strokes, logged) = (self.proxy().cuts(), self.stage.replicas[0].log.len());
            if let Some(nth) = self.next.get(&operation) {
                self.proxy().cut_nth_commit(*nth, self.cut);
            }
            lived.push(operation);
            let request = self.request(operation, town).await;
            let id = tokio::select! {
                id = self.run_operation(&lived, town, request) => id,
                never = self.expire_abandoned_leases(logged) => match never {},
            };
            self.proxy().cancel_cut();
            town = Some(id);
            match (self.proxy().cuts() - strokes, self.next.get_mut(&operation)) {
                (1, Some(nth)) => {
                    *nth += STAGES;
                    struck.push(operation);
                }
                (0, _) => drop(self.next.remove(&operation)),
                (strokes, _) => panic!("{operation:?} was struck {strokes} times"),
            }
        }
    }

    /// Returns true if neither this operation nor a later one has further commits to lose.
    fn may_be_skipped(&self, operation: Operation) -> bool {
        let none_of = |some: [Operation; 2]| some.iter().all(|it| !self.next.contains_key(it));
        match operation {
            Operation::Create | Operation::Destroy => false,
            Operation::AddRig | Operation::RemoveRig => none_of([Operation::AddRig, Operation::RemoveRig]),
            Operation::Stop | Operation::Start => none_of([Operation::Stop, Operation::Start]),
        }
    }

    fn proxy(&self) -> &PostgresProxy {
        self.stage.proxy.as_ref().unwrap()
    }

    /// Makes the call, and repeats it after `SERVICE_UNAVAILABLE`. Waits until no operation is in flight, and checks the
    /// result. Returns the town.
    async fn run_operation(&self, lived: &[Operation], town: Option<Uuid>, request: (&str, Value)) -> Uuid {
        let operation = *lived.last().unwrap();
        let what = self.case(operation);
        let mut repeats = 0;
        let answer = loop {
            match self.stage.call(ALICE, request.0, request.1.clone()).await {
                Err(refused) if refused.code == "SERVICE_UNAVAILABLE" && repeats < REPEATS => repeats += 1,
                answer => break answer,
            }
        };
        let made = match answer {
            Ok(answer) => (operation == Operation::Create).then(|| id_of(&answer)),
            Err(refused) if repeats > 0 && Some(refused.code.as_str()) == operation.code_of_repeat() => None,
            Err(refused) => panic!("{what}: {refused:?}"),
        };
        let town = town.or(made).expect(&what);
        if !matches!(operation, Operation::AddRig | Operation::RemoveRig) {
            // An accepted operation is found by its id, and continued by a takeover. The caller is not affected.
            let was_not_written = self.cut == Cut::Request && self.next.get(&operation) == Some(&1);
            assert_eq!(repeats, usize::from(was_not_written), "{what}: the caller was refused");
        }
        self.stage.idle().await;
        self.check(lived, town).await;
        town
    }

    /// Expires the lease of an abandoned claim, as would happen in time.
    async fn expire_abandoned_leases(&self, mut logged: usize) -> Infallible {
        let Stage { rows, replicas, .. } = &self.stage;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let text = replicas[0].log.since(logged);
            // An incomplete line is read the next time.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            logged += whole;
            if ABANDONED.iter().any(|left| text[..whole].contains(left)) {
                for owner in rows.operations().await.into_iter().filter_map(|operation| operation.owner) {
                    rows.expire_leases_of(&owner).await;
                }
            }
        }
    }

    async fn request(&mut self, operation: Operation, town: Option<Uuid>) -> (&'static str, Value) {
        match operation {
            Operation::Create => {
                self.towns += 1;
                let (name, key) = (format!("mill-{}", self.towns), format!("key-{}", self.towns));
                let rig = json!({ "rigName": "first", "repoUrl": REPO, "branch": "main" });
                ("createTown", json!({ "townName": name, "idempotencyKey": key, "config": { "rigs": [rig] } }))
            }
            Operation::AddRig => ("addRig", json!({ "townId": town, "rigName": "second", "repoUrl": REPO })),
            Operation::RemoveRig => {
                let rigs = self.stage.rows.rigs().await;
                let rig = rigs.iter().find(|rig| Some(rig.town_id) == town && rig.rig_name == "second").unwrap();
                ("removeRig", json!({ "townId": town, "rigId": rig.id }))
            }
            Operation::Stop => ("stopTown", json!({ "townId": town })),
            Operation::Start => ("startTown", json!({ "townId": town })),
            Operation::Destroy => ("destroyTown", json!({ "townId": town })),
        }
    }

    /// Checks that rigs are reconciled, that each operation was accepted and ended once, and that machine and volume are those
    /// of the row. A destroyed town has none. No town ever had a second one.
    async fn check(&self, lived: &[Operation], town: Uuid) {
        let operation = *lived.last().unwrap();
        let what = self.case(operation);
        let is_destroyed = operation == Operation::Destroy;
        if !is_destroyed {
            self.until_rigs_are(town, if operation == Operation::AddRig { &["first", "second"] } else { &["first"] })
                .await;
        }
        let row = self.stage.rows.town(town).await;
        let (status, state) = match operation {
            Operation::Stop => ("stopped", Some(State::Stopped)),
            Operation::Destroy => ("destroyed", None),
            _ => ("running", Some(State::Started)),
        };
        assert_eq!(row.status, status, "{what}");
        let (machines, volumes) = (self.stage.sim.machines(), self.stage.sim.volumes());
        let machines: Vec<_> = machines.into_iter().map(|machine| (machine.id, machine.state)).collect();
        let volumes: Vec<_> = volumes.into_iter().map(|volume| volume.id).collect();
        assert_eq!(machines, Vec::from_iter(row.fly_machine_id.zip(state)), "{what}");
        assert_eq!(volumes, Vec::from_iter(row.fly_volume_id), "{what}");
        assert_eq!(machines.is_empty(), is_destroyed, "{what}");
        let made = (self.stage.sim.all_machines().len(), self.stage.sim.all_volumes().len());
        assert_eq!(made, (self.towns, self.towns), "{what}: created once for each town");

        let mut expected: Vec<_> = lived.iter().flat_map(|operation| operation.events()).copied().collect();
        expected.sort_unstable();
        let events = self.stage.rows.events().await;
        let of_town = events.iter().filter(|event| event.town_id == town);
        let mut events: Vec<_> = of_town.map(|event| (event.action.as_str(), event.outcome.as_str())).collect();
        events.sort_unstable();
        // After a takeover each id is cleared in a write of its own.
        events.dedup_by(|one, other| one == other && one.0 == "fly_ids");
        assert_eq!(events, expected, "{what}");
    }

    /// Waits until the workers have reconciled the rigs.
    async fn until_rigs_are(&self, town: Uuid, names: &[&str]) {
        let expected: Vec<_> = names.iter().map(|name| (*name, "active")).collect();
        until(&format!("{names:?} are active"), async || {
            let rigs = self.stage.rows.rigs().await;
            let rigs = rigs.iter().filter(|rig| rig.town_id == town);
            rigs.map(|rig| (rig.rig_name.as_str(), rig.status.as_str())).collect::<Vec<_>>() == expected
        })
        .await;
    }

    fn case(&self, operation: Operation) -> String {
        format!("{operation:?}, {:?} of commit {:?} lost", self.cut, self.next.get(&operation))
    }
}
