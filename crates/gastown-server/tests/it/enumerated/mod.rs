//! Every fault, as HTTP, at every call to Fly and to the sandbox that an operation makes: all ends well, and soon.
//!
//! The calls of an operation are found by a few undisturbed lives of a town (`lives.rs`). Then one town after the other
//! lives, and each of its operations is struck once (`faults.rs`). The same is told of many more faults, and of crashes,
//! in the tests of `gastown-orchestrator`, where time and processes are the test's to command.

mod faults;
mod lives;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use futures::future::join_all;
use uuid::Uuid;

use crate::figures::say;
use crate::life_of_a_town::{LIFE, Operation};
use crate::stage::Setup;
use faults::{CALLS, Faults, everything, the_worst};
use lives::Lives;

/// Stages at once: a life is mostly waiting.
const STAGES: usize = 4;
/// How often a case is tried whose call was not made this time: looks that repeat do not do so equally often.
const TRIES: usize = 3;
/// How often the workers sweep: what a fault left to them is soon seen to.
const SWEEP: Duration = Duration::from_millis(150);

/// A fault at the nth call of its kind that an operation makes.
#[derive(Debug, Clone)]
struct Case {
    call: Call,
    nth: u32,
    /// Whether every undisturbed life made the call; some are made or not as the clock will have it.
    in_each_life: bool,
    effect: Effect,
    tries: usize,
}

impl Case {
    /// Looks are repeated as often as the clock will have it, and nobody waits where the machine was quicker. All else
    /// has to be reached.
    fn is_certain(&self) -> bool {
        self.in_each_life && self.nth == 1 && self.call != Call::Wait
    }
}

type Cases = BTreeMap<Operation, VecDeque<Case>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fly_answers_at_whatever_call_all_ends_well_on_sqlite() {
    enumerate("SQLite", Setup::sqlite, everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fly_answers_at_the_calls_that_change_something_all_ends_well_on_postgres() {
    enumerate("Postgres", Setup::postgres, the_worst).await;
}

/// Tells every case, on a few stages at once; says how many there were.
async fn enumerate(engine: &str, setup: fn() -> Setup, faults: Faults) {
    let mut shares: Vec<Cases> = vec![Cases::new(); STAGES];
    for (number, (operation, case)) in cases(setup(), faults).await.into_iter().enumerate() {
        shares[number % STAGES].entry(operation).or_default().push_back(case);
    }
    let told = shares.into_iter().map(async |cases| tell(Lives::begin(setup(), SWEEP).await, cases).await);
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

/// The calls that each operation makes, with each of their faults: as many of a kind as every undisturbed life made, or
/// one where not each did.
async fn cases(setup: Setup, faults: Faults) -> Vec<(Operation, Case)> {
    let mut cases = Vec::new();
    for ((operation, call), counts) in lives::undisturbed(setup).await {
        assert!(CALLS.contains(&call), "a new call: {operation:?} {call:?}");
        let fewest = counts.into_iter().min().unwrap_or_default();
        for nth in 1..=fewest.max(1) {
            let in_each_life = nth <= fewest;
            let of_call = faults(call).into_iter().map(|effect| Case { call, nth, in_each_life, effect, tries: 0 });
            cases.extend(of_call.map(|case| (operation, case)));
        }
    }
    cases
}

/// Tells a stage's share of the cases; what was struck.
async fn tell(mut lives: Lives, mut cases: Cases) -> Vec<(Operation, Call)> {
    let mut struck = Vec::new();
    while cases.values().any(|cases| !cases.is_empty()) {
        one_life(&mut lives, &mut cases, &mut struck).await;
    }
    lives.stage.settle().await;
    struck
}

/// One town's life, in which each operation has one of its cases.
async fn one_life(lives: &mut Lives, cases: &mut Cases, struck: &mut Vec<(Operation, Call)>) {
    let mut town = None;
    for operation in LIFE {
        if may_be_left_out(lives, operation, town, cases).await {
            continue;
        }
        let Some(mut case) = cases.get_mut(&operation).and_then(VecDeque::pop_front) else {
            lives.go_through(operation, &mut town).await;
            continue;
        };
        let before = lives.stage.sim.calls().len();
        lives.stage.sim.inject(Fault::at(case.call, case.effect.clone()).nth(case.nth));
        lives.go_through(operation, &mut town).await;
        lives.stage.sim.clear_faults();
        if lives.stage.sim.calls()[before..].iter().any(|made| made.faulted && made.call == case.call) {
            struck.push((operation, case.call));
            continue;
        }
        case.tries += 1;
        if case.tries < TRIES {
            cases.entry(operation).or_default().push_back(case);
        } else {
            assert!(!case.is_certain(), "never reached: {operation:?} {case:?}");
        }
    }
}

/// Whether nothing is to be told of it and nothing that follows needs it.
async fn may_be_left_out(lives: &Lives, operation: Operation, town: Option<Uuid>, cases: &Cases) -> bool {
    let none_of = |some: [Operation; 2]| some.iter().all(|it| cases.get(it).is_none_or(VecDeque::is_empty));
    match operation {
        Operation::Create | Operation::Destroy => false,
        Operation::AddRig => none_of([Operation::AddRig, Operation::RemoveRig]),
        Operation::RemoveRig => lives.rig_of(town.unwrap(), lives::SECOND).await.is_none(),
        Operation::Stop => none_of([Operation::Stop, Operation::Start]),
        Operation::Start => lives.stage.rows.town(town.unwrap()).await.status == "running",
    }
}

#[test]
fn only_what_each_undisturbed_life_did_once_at_least_has_to_be_reached() {
    let case = |call, nth, in_each_life| Case { call, nth, in_each_life, effect: Effect::DropRequest, tries: 0 };
    assert!(case(Call::GetMachine, 1, true).is_certain());
    assert!(!case(Call::GetMachine, 1, false).is_certain());
    assert!(!case(Call::GetMachine, 2, true).is_certain());
    assert!(!case(Call::Wait, 1, true).is_certain());
}
