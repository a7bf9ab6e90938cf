//! Claims that change hands: shut down, crashed, slow.

use std::time::Duration;

use gastown_domain::ports::{Action, TownError, Towns as _};
use gastown_domain::{OperationKind, TownStatus};
use gastown_orchestrator::{Policy, ReconcileReport};
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault, Query};

const A_MOMENT: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_process_that_stops_gives_its_claim_back_and_lets_its_callers_go() {
    let bench = Bench::new();
    let replica = bench.replica();
    let (alice, stopped_at) = (alice(), Instant::now() + A_MOMENT);
    let stop = async {
        sleep(A_MOMENT).await;
        replica.stop.cancel();
    };

    let (town, ()) = tokio::join!(replica.towns.create_town(&alice, request("mill")), stop);
    replica.towns.drained().await;

    let town = town.unwrap();
    assert_eq!(town.status, TownStatus::Provisioning);
    assert!(stopped_at.elapsed() < Duration::from_secs(20), "{:?}", stopped_at.elapsed());
    let row = bench.store.rows().operations[&town.id].clone();
    assert_eq!((row.owner, row.lease_until), (None, None), "any worker may take it");

    let other = bench.replica();
    let report = other.towns.driver().drive(town.id).await.unwrap();
    assert_eq!(report, ReconcileReport::Ended);
    bench.assert_invariants("finished by another");
}

/// Nobody waits for a removal that a worker takes up: its calls stand in line behind those that somebody waits for (FM-52).
#[tokio::test(start_paused = true)]
async fn what_workers_remove_asks_fly_by_its_own_way() {
    let (bench, elsewhere) = (Bench::new(), Bench::new());
    let town = bench.running("mill").await.id;
    bench.store.schedule().next(Call::Store(Query::Renew), 1, Fault::CrashBefore);
    let (dying, alice) = (bench.replica(), alice());
    assert!(dying.unless_crashed(dying.towns.destroy_town(&alice, town)).await.is_none());
    sleep(Policy::production().lease).await;
    bench.fly.schedule().clear_journal();

    let replica = bench.replica();
    let behind = elsewhere.ports(&replica.process).provider;
    let workers = replica.workers.removing_through(behind);
    assert_eq!(workers.sweep().await.unwrap(), 1);
    workers.idle().await;
    assert_eq!(bench.fly.schedule().journal, [], "not before the others");
    assert!(elsewhere.fly.count(Action::ReadMachine) > 0, "but behind them");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_claims_nothing() {
    let bench = Bench::new();
    let replica = bench.replica();
    replica.stop.cancel();

    let town = replica.towns.create_town(&alice(), request("mill")).await.unwrap();
    replica.towns.drained().await;

    assert_eq!(bench.fly.schedule().journal, []);
    assert_eq!(bench.store.rows().operations[&town.id].owner, None);
}

#[tokio::test(start_paused = true)]
async fn workers_finish_what_a_dead_process_left_once_its_lease_is_over() {
    let bench = Bench::new();
    let replica = bench.replica();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::CrashAfter);
    let alice = alice();
    assert!(replica.unless_crashed(replica.towns.create_town(&alice, request("mill"))).await.is_none());

    let other = bench.replica();
    assert_eq!(other.workers.sweep().await.unwrap(), 0, "the lease of the dead still holds");
    let stop = other.stop.clone();
    let stopping = async {
        sleep(Duration::from_secs(120)).await;
        stop.cancel();
    };
    tokio::join!(other.workers.run(other.stop.clone()), stopping);

    assert_eq!(bench.fly.count(Action::CreateMachine), 1, "adopted, not made again");
    bench.assert_invariants("finished by the workers");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_lost_its_lease_changes_nothing_and_what_it_made_for_a_tombstone_goes() {
    let bench = Bench::new();
    let replica = bench.replica();
    let alice = alice();
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::OutlastsLease);
    let destroy = async {
        sleep(A_MOMENT).await;
        bench.replica().towns.destroy_town(&alice, bench.only_town()).await
    };

    let (created, destroyed) = tokio::join!(replica.towns.create_town(&alice, request("mill")), destroy);

    assert!(matches!(created, Err(TownError::Failed { kind: OperationKind::Create, .. })), "{created:?}");
    let destroyed = destroyed.unwrap();
    let before = bench.store.town(destroyed.id);
    assert_eq!(bench.store.rows().operations.len(), 0, "the destroy has looked for it long enough");
    sleep(Duration::from_secs(90)).await;
    assert_eq!(bench.fly.count(Action::CreateVolume), 1);
    assert_eq!(bench.fly.world().volumes.len(), 1, "it was made, late");
    assert_eq!(bench.store.town(destroyed.id), before);
    bench.assert_nothing_left(destroyed.id);
}

/// What lay idle past its deadline is judged by a look, not by the clock alone.
#[tokio::test(start_paused = true)]
async fn a_stop_that_took_effect_before_its_process_died_is_a_stop_however_late_it_is_found() {
    for (nth, fault) in [(0, Fault::CrashAfter), (1, Fault::CrashBefore)] {
        let bench = Bench::new();
        let town = bench.running("mill").await.id;
        let replica = bench.replica();
        bench.fly.schedule().next(Call::Fly([Action::StopMachine, Action::AwaitMachine][nth]), 1, fault);
        let alice = alice();
        assert!(replica.unless_crashed(replica.towns.stop_town(&alice, town)).await.is_none());

        sleep(Duration::from_secs(3600)).await;
        bench.recover().await;

        assert_eq!(bench.store.town(town).status, TownStatus::Stopped);
        bench.assert_invariants("found late");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_an_outage_is_not_called_failed_before_a_look_tells() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.schedule().next(Call::Fly(Action::StopMachine), 1, Fault::ReplyLost);
    let replica = bench.replica();
    let alice = alice();
    let outage = async {
        sleep(A_MOMENT).await;
        bench.fly.schedule().always(Call::Fly(Action::ReadMachine), Fault::ServerError);
    };
    let _ = tokio::join!(replica.towns.stop_town(&alice, town), outage);
    sleep(Duration::from_secs(600)).await;
    bench.fly.schedule().stop_faults();
    bench.recover().await;
    assert_eq!(bench.store.town(town).status, TownStatus::Stopped);
    bench.assert_invariants("after the outage");
}

/// Whenever the destroy comes, also between the look and the act: nothing is begun for the stop from then on.
#[tokio::test(start_paused = true)]
async fn a_driver_whose_operation_was_preempted_begins_nothing_more() {
    for tens in 0..150 {
        let bench = Bench::new();
        let town = bench.running("mill").await.id;
        bench.fly.schedule().always(Call::Fly(Action::StopMachine), Fault::NotNow);
        let (replica, alice) = (bench.replica(), alice());
        let destroy = async {
            sleep(Duration::from_millis(tens * 10)).await;
            let begun = async {
                while bench.store.rows().operations.get(&town).is_none_or(|it| it.operation.kind == OperationKind::Stop)
                {
                    sleep(Duration::from_millis(1)).await;
                }
                bench.fly.count(Action::StopMachine)
            };
            tokio::join!(replica.towns.destroy_town(&alice, town), begun).1
        };
        let (_, begun) = tokio::join!(replica.towns.stop_town(&alice, town), destroy);
        sleep(A_MOMENT * 10).await;
        assert!(bench.fly.count(Action::StopMachine) == begun, "destroyed after {tens} hundredths");
    }
}

/// Both looks of one pass together outlast the lease.
#[tokio::test(start_paused = true)]
async fn a_slow_call_keeps_its_claim() {
    let bench = Bench::new();
    let replica = bench.replica();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::Slow);
    bench.fly.schedule().next(Call::Fly(Action::ReadMachine), 1, Fault::Slow);
    bench.fly.schedule().after(Call::Fly(Action::ReadVolume), 1, Fault::Slow);
    let alice = alice();
    let create = replica.towns.create_town(&alice, request("mill"));
    let sweeps = async {
        for _ in 0..60 {
            sleep(Duration::from_secs(2)).await;
            assert_eq!(bench.replica().workers.sweep().await.unwrap(), 0);
        }
    };
    let _ = tokio::join!(create, sweeps);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.fly.count(Action::CreateMachine), 1);
    bench.assert_invariants("slow");
}

/// The process that made the call is dead, so nobody but the destroy itself can find what the call makes.
#[tokio::test(start_paused = true)]
async fn a_destroy_outwaits_the_call_of_a_dead_process() {
    for action in [Action::CreateVolume, Action::CreateMachine] {
        let bench = Bench::new();
        let replica = bench.replica();
        let alice = alice();
        bench.fly.schedule().next(Call::Fly(action), 1, Fault::Slow);
        let death = async {
            sleep(A_MOMENT).await;
            replica.process.kill();
        };
        let (created, ()) =
            tokio::join!(replica.unless_crashed(replica.towns.create_town(&alice, request("mill"))), death);
        assert!(created.is_none());

        let town = bench.only_town();
        bench.replica().towns.destroy_town(&alice, town).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        bench.recover().await;

        assert_eq!(bench.fly.count(action), 1);
        bench.assert_nothing_left(town);
    }
}

#[tokio::test(start_paused = true)]
async fn a_moments_trouble_with_the_registry_does_not_lose_what_a_slow_call_makes() {
    let bench = Bench::new();
    let replica = bench.replica();
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::Slow);
    let alice = alice();
    let trouble = async {
        sleep(A_MOMENT).await;
        bench.store.schedule().next(Call::Store(Query::Renew), 1, Fault::NotSent);
    };
    let _ = tokio::join!(replica.towns.create_town(&alice, request("mill")), trouble);
    sleep(Duration::from_secs(30)).await;

    assert_eq!(bench.fly.count(Action::CreateVolume), 1);
    assert_eq!(bench.store.town(bench.only_town()).status, TownStatus::Running);
    bench.assert_invariants("trouble");
}
