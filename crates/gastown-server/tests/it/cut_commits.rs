//! Every commit of a town's life lost on its way to Postgres, and every answer to one lost on its way back (FM-46): all
//! ends well, once, and nothing is made twice.
//!
//! The replica reaches its database through a proxy that drops the connection there. What it drove is taken over once its
//! lease has run out, which the test makes it do; a caller who is told that the registry is not available asks again, as a
//! client would.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use ephemeral_db::{Cut, PostgresProxy};
use fly_sim::State;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::figures::say;
use crate::life_of_a_town::{LIFE, Operation};
use crate::stage::{ALICE, PATIENCE, Setup, Stage, id_of, until};

/// Stages for each way to lose a commit: each tells every so many-th commit. A life is mostly waiting.
const STAGES: u32 = 4;
/// How often a caller is told that the registry is not available, at most: one commit is lost, and once.
const REPEATS: usize = 1;
/// What the replica says of a claim that it holds and does not act on any more.
const LEFT: [&str; 2] = ["drive interrupted", "sweep failed"];
const REPO: &str = "https://github.com/acme/app";

impl Operation {
    /// What the town's history says of it, once each.
    const fn events(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Create => &[("create", "accepted"), ("create", "done")],
            Self::AddRig => &[("add_rig", "accepted")],
            Self::RemoveRig => &[("remove_rig", "done")],
            Self::Stop => &[("stop", "accepted"), ("stop", "done")],
            Self::Start => &[("start", "accepted"), ("start", "done")],
            // The row forgets the machine's id, then the volume's.
            Self::Destroy => {
                &[("destroy", "accepted"), ("destroy", "done"), ("fly_ids", "changed"), ("fly_ids", "changed")]
            }
        }
    }

    /// What a repeat may be told where the first was carried out, though its caller does not know.
    const fn repeat_is_told(self) -> Option<&'static str> {
        match self {
            // A key says that it is the same; a stop or start that is in flight is joined.
            Self::Create | Self::Stop | Self::Start => None,
            Self::AddRig => Some("CONFLICT"),
            Self::RemoveRig | Self::Destroy => Some("NOT_FOUND"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_commit_is_lost_or_goes_unanswered_all_ends_well_and_once() {
    let mut figures = Vec::new();
    let begun = [Cut::Request, Cut::Answer].map(|cut| join_all((1..=STAGES).map(|first| Lives::begin(cut, first))));
    let told = join_all(join_all(begun).await.into_iter().flatten().map(Lives::tell)).await;
    for cut in [Cut::Request, Cut::Answer] {
        let of_cut = told.iter().filter(|(told, _)| *told == cut).flat_map(|(_, struck)| struck);
        let mut cases: BTreeMap<Operation, usize> = BTreeMap::new();
        of_cut.for_each(|operation| *cases.entry(*operation).or_default() += 1);
        assert!(cases.keys().copied().eq(LIFE), "{cut:?} struck only {cases:?}");
        let cases: Vec<_> = cases.iter().map(|(operation, cases)| format!("{operation:?} {cases}")).collect();
        figures.push(format!("{cut:?} lost: {}", cases.join(", ")));
    }
    let cases: usize = told.iter().map(|(_, struck)| struck.len()).sum();
    say(&format!("commits cut over HTTP, on Postgres: {cases} cases: {}", figures.join("; ")));
}

/// Towns that live on one stage, one after the other, each operation of which loses one commit.
struct Lives {
    stage: Stage,
    cut: Cut,
    /// The commit that is struck next, counted from the operation's begin; none where it has no such commit any more.
    next: BTreeMap<Operation, u32>,
    towns: usize,
}

impl Lives {
    async fn begin(cut: Cut, first: u32) -> Self {
        let mut setup = Setup { through_proxy: true, ..Setup::postgres() };
        let policy = &mut setup.policy;
        policy.limits.towns_per_user = u32::MAX;
        // On a machine that has much to do nothing is given up for being late.
        (policy.timeouts.caller, policy.timeouts.create) = (PATIENCE, 2 * PATIENCE);
        (policy.timeouts.start, policy.timeouts.stop) = (2 * PATIENCE, 2 * PATIENCE);
        let stage = setup.raise().await;
        Self { stage, cut, next: LIFE.map(|operation| (operation, first)).into(), towns: 0 }
    }

    /// Goes on until every operation has passed without a stroke; the operations that were struck.
    async fn tell(mut self) -> (Cut, Vec<Operation>) {
        let mut struck = Vec::new();
        while !self.next.is_empty() {
            self.one(&mut struck).await;
        }
        self.stage.settle().await;
        (self.cut, struck)
    }

    /// One town's life.
    async fn one(&mut self, struck: &mut Vec<Operation>) {
        let (mut town, mut lived) = (None, Vec::new());
        for operation in LIFE {
            if self.may_be_left_out(operation) {
                continue;
            }
            let (strokes, logged) = (self.proxy().cuts(), self.stage.replicas[0].log.len());
            if let Some(nth) = self.next.get(&operation) {
                self.proxy().cut_nth_commit(*nth, self.cut);
            }
            lived.push(operation);
            let wish = self.wish(operation, town).await;
            let id = tokio::select! {
                id = self.go_through(&lived, town, wish) => id,
                never = self.let_what_was_left_run_out(logged) => match never {},
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

    /// Whether nothing is to be told of it and nothing that follows needs it.
    fn may_be_left_out(&self, operation: Operation) -> bool {
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

    /// Asks for it, and again where the answer says that nothing is known; waits until all is quiet, and looks. Answers its
    /// town.
    async fn go_through(&self, lived: &[Operation], town: Option<Uuid>, wish: (&str, Value)) -> Uuid {
        let operation = *lived.last().unwrap();
        let what = self.case(operation);
        let mut repeats = 0;
        let answer = loop {
            match self.stage.call(ALICE, wish.0, wish.1.clone()).await {
                Err(refused) if refused.code == "SERVICE_UNAVAILABLE" && repeats < REPEATS => repeats += 1,
                answer => break answer,
            }
        };
        let made = match answer {
            Ok(answer) => (operation == Operation::Create).then(|| id_of(&answer)),
            Err(refused) if repeats > 0 && Some(refused.code.as_str()) == operation.repeat_is_told() => None,
            Err(refused) => panic!("{what}: {refused:?}"),
        };
        let town = town.or(made).expect(&what);
        if !matches!(operation, Operation::AddRig | Operation::RemoveRig) {
            // What was written down is looked for, and what its driver loses is taken over: neither is the caller's trouble.
            let was_not_written = self.cut == Cut::Request && self.next.get(&operation) == Some(&1);
            assert_eq!(repeats, usize::from(was_not_written), "{what}: told that nothing is known");
        }
        self.stage.idle().await;
        self.look_at(lived, town).await;
        town
    }

    /// Whoever drove and lost its connection leaves the claim to its lease. It runs out at once, as it would in time.
    async fn let_what_was_left_run_out(&self, mut logged: usize) -> Infallible {
        let Stage { rows, replicas, .. } = &self.stage;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let said = replicas[0].log.since(logged);
            // What is still being written is read the next time.
            let whole = said.rfind('\n').map_or(0, |end| end + 1);
            logged += whole;
            if LEFT.iter().any(|left| said[..whole].contains(left)) {
                for owner in rows.operations().await.into_iter().filter_map(|operation| operation.owner) {
                    rows.expire_leases_of(&owner).await;
                }
            }
        }
    }

    async fn wish(&mut self, operation: Operation, town: Option<Uuid>) -> (&'static str, Value) {
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

    /// Its rigs are settled, each operation was accepted and ended once, and there is one machine and one volume, as the row
    /// says; none of a town that is destroyed. No town has ever had a second one.
    async fn look_at(&self, lived: &[Operation], town: Uuid) {
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
        assert_eq!(made, (self.towns, self.towns), "{what}: made once for each town");

        let mut told: Vec<_> = lived.iter().flat_map(|operation| operation.events()).copied().collect();
        told.sort_unstable();
        let events = self.stage.rows.events().await;
        let of_town = events.iter().filter(|event| event.town_id == town);
        let mut events: Vec<_> = of_town.map(|event| (event.action.as_str(), event.outcome.as_str())).collect();
        events.sort_unstable();
        assert_eq!(events, told, "{what}");
    }

    /// What could not be settled when it was asked for is settled by the workers.
    async fn until_rigs_are(&self, town: Uuid, names: &[&str]) {
        let wished: Vec<_> = names.iter().map(|name| (*name, "active")).collect();
        until(&format!("{names:?} are settled"), async || {
            let rigs = self.stage.rows.rigs().await;
            let rigs = rigs.iter().filter(|rig| rig.town_id == town);
            rigs.map(|rig| (rig.rig_name.as_str(), rig.status.as_str())).collect::<Vec<_>>() == wished
        })
        .await;
    }

    fn case(&self, operation: Operation) -> String {
        format!("{operation:?}, {:?} of commit {:?} lost", self.cut, self.next.get(&operation))
    }
}
