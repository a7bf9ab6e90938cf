//! The cost of an undisturbed operation: calls to Fly, statements and transactions. The counts do not depend on the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use fly_sim::Call;
use gastown_sandbox_sim::{SANDBOX_HEALTH, SANDBOX_SYNC};
use serde_json::json;
use uuid::Uuid;

use crate::figures::report;
use crate::stage::{ALICE, Setup, Stage, id_of};

/// Longer than the test.
const NEVER: Duration = Duration::from_secs(3600);
/// The number of towns. The least cost of each operation counts, because heartbeats of the sandboxes only add to it.
const TOWNS: usize = 3;

/// The operations, with the statements and the transactions that each may make. The statements include the notifications of
/// watchers, which are sent in the background.
const LIMITS: [(&str, u64, u64); 4] =
    [("createTown", 21, 5), ("stopTown", 16, 4), ("startTown", 18, 4), ("destroyTown", 20, 5)];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    statements: u64,
    transactions: u64,
    calls: Vec<Call>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undisturbed_operations_make_few_calls_statements_and_transactions() {
    let mut setup = Setup { through_proxy: true, ..Setup::postgres() };
    // Nothing has to be waited for but the machine.
    let timing = &mut setup.sim.timing;
    (timing.program_boot, timing.replace, timing.volume_release) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (backoff, policy) = (&mut setup.policy.backoff, &mut setup.policy.drift);
    (backoff.sweep_every, policy.every) = (NEVER, NEVER);
    setup.policy.orphans.every = NEVER;
    let stage = setup.start().await;
    // The first town opens connections, and makes sure of the app.
    life(&stage).await;
    let mut least: BTreeMap<&str, Cost> = BTreeMap::new();
    for _ in 0..TOWNS {
        for (operation, cost) in life(&stage).await {
            let known = least.entry(operation).or_insert_with(|| cost.clone());
            if cost < *known {
                *known = cost;
            }
        }
    }
    let figures = least.iter().map(|(operation, Cost { statements, transactions, calls })| {
        format!("{operation} {statements} statements, {transactions} transactions, {} calls", calls.len())
    });
    report(&format!("undisturbed operations, on Postgres: {}", figures.collect::<Vec<_>>().join("; ")));
    for (operation, statements, transactions) in LIMITS {
        let cost = &least[operation];
        assert!(cost.statements <= statements && cost.transactions <= transactions, "{operation}: {cost:?}");
    }
    let calls = |operation| least[operation].calls.as_slice();
    assert_eq!(calls("createTown"), [Call::CreateVolume, Call::CreateMachine, Call::Wait, SANDBOX_HEALTH]);
    // The wait for a stopped machine needs its version.
    assert_eq!(calls("stopTown")[..3], [SANDBOX_SYNC, Call::StopMachine, Call::GetMachine]);
    // The update is conditional on the version that was read.
    let start = [Call::GetMachine, Call::UpdateMachine, Call::StartMachine, Call::Wait, SANDBOX_HEALTH];
    assert_eq!(calls("startTown"), start);
    // The machine shows the volume that it mounts, which is the town's.
    let destroy = [Call::GetMachine, SANDBOX_SYNC, Call::DeleteMachine, Call::Wait];
    assert_eq!(calls("destroyTown")[..4], destroy);
    assert!(calls("destroyTown").len() <= 6, "{least:?}");
    let lists = [Call::ListMachines, Call::ListVolumes];
    assert!(least.values().all(|cost| cost.calls.iter().all(|call| !lists.contains(call))), "{least:?}");
}

/// Plays a town's life and returns the cost of each operation.
async fn life(stage: &Stage) -> Vec<(&'static str, Cost)> {
    let mut costs = Vec::new();
    let mut town: Option<Uuid> = None;
    for (operation, ..) in LIMITS {
        stage.idle().await;
        let proxy = stage.proxy.as_ref().expect("the stage has a proxy");
        let before = (proxy.statements(), proxy.commits(), stage.sim.calls().len());
        match town {
            None => {
                let created = stage.call(ALICE, operation, json!({ "townName": "mill" })).await.unwrap();
                town = Some(id_of(&created));
            }
            Some(town) => drop(stage.on_town(operation, town).await.unwrap()),
        }
        let calls = stage.sim.calls()[before.2..].iter().map(|record| record.call).collect();
        let transactions = proxy.commits() - before.1;
        // Without `BEGIN` and `COMMIT`.
        let statements = proxy.statements() - before.0 - 2 * transactions;
        let cost = Cost { statements, transactions, calls };
        costs.push((operation, cost));
    }
    costs
}
