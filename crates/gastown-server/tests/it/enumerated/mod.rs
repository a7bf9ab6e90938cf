//! Injects every fault, as HTTP, at every call to Fly and to the sandbox that an operation makes. Every operation must end
//! well.
//!
//! A few undisturbed lives of a town determine the calls of each operation (`lives.rs`). Then each operation of further
//! towns has one fault (`faults.rs`). The tests of `gastown-orchestrator` inject many more faults and crashes, because they
//! control time and processes.

mod faults;
mod lives;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use futures::future::join_all;
use uuid::Uuid;

use crate::figures::report;
use crate::life_of_a_town::{LIFE, Operation};
use crate::stage::Setup;
use faults::{CALLS, Faults, everything, the_worst};
use lives::Lives;

/// The number of concurrent stages. The tests mostly wait.
const STAGES: usize = 4;
/// The tries of a case whose call was not made. The number of repeated reads varies.
const TRIES: usize = 3;
/// The interval of sweeps, short so that the workers soon continue after a fault.
const SWEEP: Duration = Duration::from_millis(150);

/// A fault at the nth call of its kind of an operation.
#[derive(Debug, Clone)]
struct Case {
    call: Call,
    nth: u32,
    /// True if every undisturbed life made the call. Some calls depend on timing.
    in_each_life: bool,
    effect: Effect,
    tries: usize,
}

impl Case {
    /// Returns true if the case must be reached. Repeated reads and waits depend on timing.
    fn is_certain(&self) -> bool {
        self.in_each_life && self.nth == 1 && self.call != Call::Wait
    }
}

type Cases = BTreeMap<Operation, VecDeque<Case>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_call_ends_well_on_sqlite() {
    enumerate("SQLite", Setup::sqlite, everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_changing_call_ends_well_on_postgres() {
    enumerate("Postgres", Setup::postgres, the_worst).await;
}

/// Runs every case, on several stages concurrently, and reports their number.
async fn enumerate(engine: &str, setup: fn() -> Setup, faults: Faults) {
    let mut shares: Vec<Cases> = vec![Cases::new(); STAGES];
    for (number, (operation, case)) in cases(setup(), faults).await.into_iter().enumerate() {
        shares[number % STAGES].entry(operation).or_default().push_back(case);
    }
    let runs = shares.into_iter().map(async |cases| run(Lives::begin(setup(), SWEEP).await, cases).await);
    let struck: Vec<_> = join_all(runs).await.into_iter().flatten().collect();

    let kinds: BTreeSet<Call> = struck.iter().map(|(_, call)| *call).collect();
    let wanted = CALLS.into_iter().filter(|call| !faults(*call).is_empty()).collect();
    assert_eq!(kinds, wanted, "the calls with a fault");
    let mut counts: BTreeMap<Operation, usize> = BTreeMap::new();
    for (operation, _) in &struck {
        *counts.entry(*operation).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(operation, cases)| format!("{operation:?} {cases}")).collect();
    report(&format!("enumerated over HTTP, on {engine}: {} cases: {}", struck.len(), counts.join(", ")));
}

/// Returns the calls of each operation, each with all of its faults. The number of calls of a kind is that of the shortest
/// undisturbed life, but at least one.
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

/// Runs the cases of a stage. Returns the calls with a fault.
async fn run(mut lives: Lives, mut cases: Cases) -> Vec<(Operation, Call)> {
    let mut struck = Vec::new();
    while cases.values().any(|cases| !cases.is_empty()) {
        run_life(&mut lives, &mut cases, &mut struck).await;
    }
    lives.stage.check_invariants().await;
    struck
}

/// Runs the life of one town, in which each operation has one case.
async fn run_life(lives: &mut Lives, cases: &mut Cases, struck: &mut Vec<(Operation, Call)>) {
    let mut town = None;
    for operation in LIFE {
        if may_be_skipped(lives, operation, town, cases).await {
            continue;
        }
        let Some(mut case) = cases.get_mut(&operation).and_then(VecDeque::pop_front) else {
            lives.run_operation(operation, &mut town).await;
            continue;
        };
        let before = lives.stage.sim.calls().len();
        lives.stage.sim.inject(Fault::at(case.call, case.effect.clone()).nth(case.nth));
        lives.run_operation(operation, &mut town).await;
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

/// Returns true if neither this operation nor a later one has cases left.
async fn may_be_skipped(lives: &Lives, operation: Operation, town: Option<Uuid>, cases: &Cases) -> bool {
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
fn only_calls_of_every_undisturbed_life_must_be_reached() {
    let case = |call, nth, in_each_life| Case { call, nth, in_each_life, effect: Effect::DropRequest, tries: 0 };
    assert!(case(Call::GetMachine, 1, true).is_certain());
    assert!(!case(Call::GetMachine, 1, false).is_certain());
    assert!(!case(Call::GetMachine, 2, true).is_certain());
    assert!(!case(Call::Wait, 1, true).is_certain());
}
