//! Claims that change hands after a shutdown, after a crash, and during slow calls.

use std::time::Duration;

use gastown_domain::ports::{Action, DestroyTown, TownError, Towns as _};
use gastown_domain::{OperationKind, TownStatus};
use gastown_orchestrator::{Policy, ReconcileReport};
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault, Query};

const ONE_SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn shutdown_releases_claim_and_answers_callers() {
    let bench = Bench::new();
    let replica = bench.replica();
    let (alice, stopped_at) = (alice(), Instant::now() + ONE_SECOND);
    let stop = async {
        sleep(ONE_SECOND).await;
        replica.stop.cancel();
    };

    let (town, ()) = tokio::join!(replica.towns.create_town(&alice, request("mill")), stop);
    replica.towns.drained().await;

    let town = town.unwrap();
    assert_eq!(town.town.status, TownStatus::Provisioning);
    assert!(stopped_at.elapsed() < Duration::from_secs(20), "{:?}", stopped_at.elapsed());
    let row = bench.store.rows().operations[&town.town.id].clone();
    assert_eq!((row.owner, row.lease_until), (None, None), "the claim is released");

    let other = bench.replica();
    let report = other.towns.reconciler().reconcile(town.town.id).await.unwrap();
    assert_eq!(report, ReconcileReport::Ended);
    bench.assert_invariants("finished by another");
}

/// No caller waits for a removal that a worker claims. Its calls queue behind those with waiting callers (FM-52).
#[tokio::test(start_paused = true)]
async fn workers_send_removals_through_their_own_provider() {
    let (bench, elsewhere) = (Bench::new(), Bench::new());
    let town = bench.running("mill").await.id;
    bench.store.schedule().next(Call::Store(Query::Record), 1, Fault::CrashBefore);
    let (crashing, alice) = (bench.replica(), alice());
    assert!(
        crashing.unless_crashed(crashing.towns.destroy_town(&alice, DestroyTown::until_gone(town))).await.is_none()
    );
    sleep(Policy::production().timeouts.lease).await;
    bench.fly.schedule().clear_journal();

    let replica = bench.replica();
    let removal_provider = elsewhere.ports(&replica.process).provider;
    let workers = replica.workers.removing_through(removal_provider);
    assert_eq!(workers.sweep().await.unwrap(), 1);
    workers.idle().await;
    assert_eq!(bench.fly.schedule().journal, [], "no call through the foreground provider");
    assert!(elsewhere.fly.count(Action::ReadMachine) > 0, "calls through the removal provider");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_claims_nothing() {
    let bench = Bench::new();
    let replica = bench.replica();
    replica.stop.cancel();

    let town = replica.towns.create_town(&alice(), request("mill")).await.unwrap();
    replica.towns.drained().await;

    assert_eq!(bench.fly.schedule().journal, []);
    assert_eq!(bench.store.rows().operations[&town.town.id].owner, None);
}

#[tokio::test(start_paused = true)]
async fn workers_finish_operation_of_dead_process_after_lease_expires() {
    let bench = Bench::new();
    let replica = bench.replica();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::CrashAfter);
    let alice = alice();
    assert!(replica.unless_crashed(replica.towns.create_town(&alice, request("mill"))).await.is_none());

    let other = bench.replica();
    assert_eq!(other.workers.sweep().await.unwrap(), 0, "the lease of the dead process has not expired");
    let stop = other.stop.clone();
    let stopping = async {
        sleep(Duration::from_secs(120)).await;
        stop.cancel();
    };
    tokio::join!(other.workers.run(other.stop.clone()), stopping);

    assert_eq!(bench.fly.count(Action::CreateMachine), 1, "the machine is adopted");
    bench.assert_invariants("finished by the workers");
}

#[tokio::test(start_paused = true)]
async fn process_that_lost_its_lease_changes_nothing_and_its_late_volume_is_deleted() {
    let bench = Bench::new();
    let replica = bench.replica();
    let alice = alice();
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::OutlastsLease);
    let destroy = async {
        sleep(ONE_SECOND).await;
        bench.replica().towns.destroy_town(&alice, DestroyTown::until_gone(bench.only_town())).await
    };

    let (created, destroyed) = tokio::join!(replica.towns.create_town(&alice, request("mill")), destroy);

    assert!(matches!(created, Err(TownError::Failed { kind: OperationKind::Create, .. })), "{created:?}");
    let destroyed = destroyed.unwrap();
    let before = bench.store.town(destroyed.town.id);
    assert_eq!(bench.store.rows().operations.len(), 0, "the destroy has ended");
    sleep(Duration::from_secs(90)).await;
    assert_eq!(bench.fly.count(Action::CreateVolume), 1);
    assert_eq!(bench.fly.world().volumes.len(), 1, "the volume was created late");
    assert_eq!(bench.store.town(destroyed.town.id), before);
    bench.assert_nothing_left(destroyed.town.id);
}

/// An operation that was idle past its deadline is decided by an observation, not by the clock alone.
#[tokio::test(start_paused = true)]
async fn stop_of_dead_process_that_took_effect_succeeds_even_after_an_hour() {
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
        bench.assert_invariants("stop found late");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_during_outage_does_not_fail_before_an_observation() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.schedule().next(Call::Fly(Action::StopMachine), 1, Fault::ReplyLost);
    let replica = bench.replica();
    let alice = alice();
    let outage = async {
        sleep(ONE_SECOND).await;
        bench.fly.schedule().always(Call::Fly(Action::ReadMachine), Fault::ServerError);
    };
    let _ = tokio::join!(replica.towns.stop_town(&alice, town), outage);
    sleep(Duration::from_secs(600)).await;
    bench.fly.schedule().stop_faults();
    bench.recover().await;
    assert_eq!(bench.store.town(town).status, TownStatus::Stopped);
    bench.assert_invariants("after the outage");
}

/// The destroy comes at any moment, also between observation and execution. Nothing is begun for the stop after it.
#[tokio::test(start_paused = true)]
async fn preempted_operation_makes_no_more_calls() {
    for hundredths in 0..150 {
        let bench = Bench::new();
        let town = bench.running("mill").await.id;
        bench.fly.schedule().always(Call::Fly(Action::StopMachine), Fault::NotNow);
        let (replica, alice) = (bench.replica(), alice());
        let destroy = async {
            sleep(Duration::from_millis(hundredths * 10)).await;
            let stops_so_far = async {
                while bench.store.rows().operations.get(&town).is_none_or(|it| it.operation.kind == OperationKind::Stop)
                {
                    sleep(Duration::from_millis(1)).await;
                }
                bench.fly.count(Action::StopMachine)
            };
            tokio::join!(replica.towns.destroy_town(&alice, DestroyTown::until_gone(town)), stops_so_far).1
        };
        let (_, stops_so_far) = tokio::join!(replica.towns.stop_town(&alice, town), destroy);
        sleep(ONE_SECOND * 10).await;
        assert!(bench.fly.count(Action::StopMachine) == stops_so_far, "destroyed after {hundredths} hundredths");
    }
}

/// The two reads of one pass together take longer than the lease.
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

/// The process that made the call is dead. Only the destroy can find what the call creates.
#[tokio::test(start_paused = true)]
async fn destroy_waits_for_unconfirmed_create_of_dead_process() {
    for action in [Action::CreateVolume, Action::CreateMachine] {
        let bench = Bench::new();
        let replica = bench.replica();
        let alice = alice();
        bench.fly.schedule().next(Call::Fly(action), 1, Fault::Slow);
        let death = async {
            sleep(ONE_SECOND).await;
            replica.process.kill();
        };
        let (created, ()) =
            tokio::join!(replica.unless_crashed(replica.towns.create_town(&alice, request("mill"))), death);
        assert!(created.is_none());

        let town = bench.only_town();
        bench.replica().towns.destroy_town(&alice, DestroyTown::until_gone(town)).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        bench.recover().await;

        assert_eq!(bench.fly.count(action), 1);
        bench.assert_nothing_left(town);
    }
}

#[tokio::test(start_paused = true)]
async fn failed_renewal_does_not_lose_volume_of_slow_create() {
    let bench = Bench::new();
    let replica = bench.replica();
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::Slow);
    let alice = alice();
    let trouble = async {
        sleep(ONE_SECOND).await;
        bench.store.schedule().next(Call::Store(Query::Renew), 1, Fault::NotSent);
    };
    let _ = tokio::join!(replica.towns.create_town(&alice, request("mill")), trouble);
    sleep(Duration::from_secs(30)).await;

    assert_eq!(bench.fly.count(Action::CreateVolume), 1);
    assert_eq!(bench.store.town(bench.only_town()).status, TownStatus::Running);
    bench.assert_invariants("failed renewal");
}

/// The create repeats a step that failed, so that only the create itself is new.
#[tokio::test(start_paused = true)]
async fn destroy_waits_for_repeated_create_of_dead_process() {
    let bench = Bench::new();
    let (replica, alice) = (bench.replica(), alice());
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::NotSent);
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::Slow);
    let death = async {
        volume_creates(&bench, 2).await;
        sleep(ONE_SECOND).await;
        replica.process.kill();
    };
    tokio::join!(replica.unless_crashed(replica.towns.create_town(&alice, request("mill"))), death);

    let town = bench.only_town();
    bench.replica().towns.destroy_town(&alice, DestroyTown::until_gone(town)).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    bench.recover().await;
    bench.assert_nothing_left(town);
}

/// The process is suspended after it wrote the create. It sends it after the destroy has taken over.
#[tokio::test(start_paused = true)]
async fn destroy_waits_for_create_that_was_sent_after_takeover() {
    let bench = Bench::new();
    let (replica, alice) = (bench.replica(), alice());
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::AppliedMuchLater);
    let destroy = async {
        volume_creates(&bench, 1).await;
        replica.process.hang(Duration::from_secs(15));
        sleep(Duration::from_secs(14)).await;
        bench.replica().towns.destroy_town(&alice, DestroyTown::until_gone(bench.only_town())).await.unwrap()
    };
    let (_, town) = tokio::join!(replica.towns.create_town(&alice, request("mill")), destroy);

    sleep(Duration::from_secs(60)).await;
    bench.recover().await;
    assert_eq!(bench.fly.world().volumes.len(), 1, "the volume was created late");
    bench.assert_nothing_left(town.town.id);
}

/// The write before the create takes longer than the lease. Another process creates the town meanwhile.
#[tokio::test(start_paused = true)]
async fn process_that_was_suspended_past_its_lease_sends_no_create() {
    let bench = Bench::new();
    let (replica, alice) = (bench.replica(), alice());
    bench.store.schedule().next(Call::Store(Query::Record), 1, Fault::HangAfter);
    let takeover = async {
        sleep(Policy::production().timeouts.lease + ONE_SECOND).await;
        bench.recover().await;
    };
    let (created, ()) = tokio::join!(replica.towns.create_town(&alice, request("mill")), takeover);

    assert_eq!(created.unwrap().town.status, TownStatus::Running);
    assert_eq!(bench.fly.count(Action::CreateVolume), 1);
    bench.assert_invariants("suspended");
}

/// Waits until this many creates of volumes were begun.
async fn volume_creates(bench: &Bench, number: usize) {
    while bench.fly.count(Action::CreateVolume) < number {
        sleep(Duration::from_millis(1)).await;
    }
}
