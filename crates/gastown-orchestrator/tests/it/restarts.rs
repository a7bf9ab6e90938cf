//! Restarts, as the health monitor requests them.

use gastown_domain::ports::{Action, DestroyTown, Towns as _};
use gastown_domain::{Failure, OperationKind, Power, Rejection, Town, TownStatus};
use gastown_orchestrator::RestartSync;
use tokio::time::sleep;

use crate::bench::{Bench, Replica, alice};
use crate::faults::Call;
use crate::world::Phase;

/// Requests a restart, and returns true if it was accepted.
async fn restart(replica: &Replica, town: &Town, sync: RestartSync) -> bool {
    replica.towns.restart_town((town.id, &town.owner), sync, None).await.unwrap()
}

fn token_of(bench: &Bench) -> String {
    bench.fly.world().machines[0].env["KILO_JWT"].clone()
}

/// Waits until this call was sent.
async fn sent(bench: &Bench, call: Action) {
    while bench.fly.count(call) == 0 {
        sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn restart_stops_the_machine_and_starts_it_with_a_fresh_token() {
    for (sync, syncs) in [(RestartSync::Try, 1), (RestartSync::Skip, 0)] {
        let bench = Bench::new();
        let town = bench.running("mill").await;
        let (before, made) = (token_of(&bench), bench.fly.count(Action::CreateVolume));

        assert!(restart(&bench.replica(), &town, sync).await);
        bench.recover().await;

        let calls =
            [Action::StopMachine, Action::UpdateMachine, Action::StartMachine].map(|call| bench.fly.count(call));
        assert_eq!(calls, [1, 1, 1], "{sync:?}");
        assert_eq!(bench.fly.schedule().count(Call::Sync), syncs, "{sync:?}");
        assert_ne!(token_of(&bench), before);
        assert_eq!(bench.fly.count(Action::CreateVolume), made);
        let after = bench.store.town(town.id);
        assert_eq!((after.status, after.machine_id), (TownStatus::Running, town.machine_id));
        bench.assert_invariants_and_history("restarted");
    }
}

#[tokio::test(start_paused = true)]
async fn only_an_idle_running_town_is_restarted() {
    let bench = Bench::new();
    let (running, stopped) = (bench.running("mill").await, bench.stopped("barn").await);
    let replica = bench.replica();
    assert!(!restart(&replica, &stopped, RestartSync::Skip).await);
    assert!(restart(&replica, &running, RestartSync::Skip).await);
    assert!(!restart(&replica, &running, RestartSync::Skip).await, "one is in flight");
    bench.recover().await;
    assert_eq!(bench.fly.count(Action::StartMachine), 1);
}

#[tokio::test(start_paused = true)]
async fn restart_of_a_sandbox_that_stays_unhealthy_fails_and_leaves_the_machine_on() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.fly.world().sandboxes_unhealthy = true;

    assert!(restart(&bench.replica(), &town, RestartSync::Skip).await);
    bench.recover().await;

    let ended = bench.store.rows().ends[&town.id].clone();
    assert_eq!((ended.kind, ended.failure), (OperationKind::Restart.into(), Some(Failure::SandboxUnhealthy.into())));
    assert_eq!(bench.store.town(town.id).status, TownStatus::Running);
    assert_eq!(bench.fly.world().machines_of(town.id)[0].power(), Power::On);
    bench.assert_invariants("failed");
}

#[tokio::test(start_paused = true)]
async fn restart_that_is_refused_ends_with_a_stopped_town() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.fly.world().machines_refused = true;
    bench.fly.world().machines[0].phase = Phase::Gone(tokio::time::Instant::now());

    assert!(restart(&bench.replica(), &town, RestartSync::Skip).await);
    bench.recover().await;

    let failed = bench.store.rows().outcomes.values().any(|end| matches!(end, Err(Rejection::Failed(_))));
    assert!(failed, "the refusal is its result");
    assert_eq!(bench.store.town(town.id).status, TownStatus::Stopped);
    bench.assert_invariants("refused");
}

#[tokio::test(start_paused = true)]
async fn owner_stop_pre_empts_a_restart() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let replica = bench.replica();
    assert!(restart(&replica, &town, RestartSync::Skip).await);
    let stop = async {
        sent(&bench, Action::StopMachine).await;
        bench.replica().towns.stop_town(&alice(), town.id).await.unwrap()
    };
    let (stopped, _) = tokio::join!(stop, replica.workers.sweep());

    assert_eq!((stopped.town.status, stopped.operation), (TownStatus::Stopped, None));
    bench.recover().await;
    assert_eq!(bench.fly.count(Action::StartMachine), 0);
    assert!(bench.store.rows().outcomes.values().any(|end| *end == Err(Rejection::Preempted)));
    bench.assert_invariants_and_history("stopped");
}

#[tokio::test(start_paused = true)]
async fn owner_start_joins_a_restart_and_destroy_pre_empts_it() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let replica = bench.replica();
    assert!(restart(&replica, &town, RestartSync::Skip).await);
    let started = replica.towns.start_town(&alice(), town.id).await.unwrap().town;
    assert_eq!((started.town.status, started.operation), (TownStatus::Running, None));
    assert_eq!(bench.fly.count(Action::StartMachine), 1, "the restart started it");

    assert!(restart(&replica, &town, RestartSync::Skip).await);
    replica.towns.destroy_town(&alice(), DestroyTown::until_gone(town.id)).await.unwrap();
    bench.recover().await;
    bench.assert_nothing_left(town.id);
}
