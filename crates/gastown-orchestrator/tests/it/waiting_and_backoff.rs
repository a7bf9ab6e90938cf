//! Waiting, backoff, and operations that no process drives.

use std::time::Duration;

use chrono::TimeDelta;
use gastown_domain::ports::{Action, Clock as _, CreateTown, DestroyTown, Towns as _, WorkerId};
use gastown_domain::{Failure, OperationKind, TownConfig, TownStatus};
use gastown_orchestrator::{Policy, ReconcileReport, TownService};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, alice, request, settings};
use crate::faults::{Call, Fault, Process, Query};
use crate::world::Phase;

const MINUTE: Duration = Duration::from_secs(60);

/// Creates a tombstone whose machine Fly does not delete.
async fn destroy_that_cannot_finish(bench: &Bench) -> gastown_domain::TownId {
    let town = bench.running("mill").await.id;
    bench.fly.schedule().always(Call::Fly(Action::DeleteMachine), Fault::ServerError);
    let replica = bench.replica();
    replica.towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    replica.process.kill();
    town
}

#[tokio::test(start_paused = true)]
async fn long_wait_releases_claim() {
    let bench = Bench::new();
    let town = destroy_that_cannot_finish(&bench).await;
    // The caller has disconnected. Only sweeps continue.
    let replica = bench.replica();
    for _ in 0..200 {
        sleep(Duration::from_secs(5)).await;
        replica.workers.sweep().await.unwrap();
        replica.workers.idle().await;
    }
    let row = bench.store.rows().operations[&town].clone();
    assert_eq!((row.owner, row.lease_until), (None, None));
    assert!(row.operation.next_attempt_at > bench.store.clock.now(), "it waits");
    assert_eq!(row.operation.last_error, Some(Failure::ProviderUnavailable.into()));
    let reconciler = replica.towns.reconciler();
    assert_eq!(reconciler.reconcile(town).await.unwrap(), ReconcileReport::NotClaimed, "the operation is not due");
    sleep(11 * MINUTE).await;
    assert!(matches!(reconciler.reconcile(town).await.unwrap(), ReconcileReport::Parked { .. }));
}

#[tokio::test(start_paused = true)]
async fn removal_that_fails_for_a_day_backs_off_and_ends_once_provider_recovers() {
    let bench = Bench::new();
    let town = destroy_that_cannot_finish(&bench).await;
    let replica = bench.replica();
    let stop = CancellationToken::new();
    let workers = tokio::spawn(replica.workers.run(stop.clone()));

    sleep(60 * MINUTE).await;
    let in_the_first_hour = bench.fly.count(Action::DeleteMachine);
    sleep(23 * 60 * MINUTE).await;
    let in_a_day = bench.fly.count(Action::DeleteMachine);
    assert!((15..40).contains(&in_the_first_hour), "{in_the_first_hour}");
    assert!((100..250).contains(&(in_a_day - in_the_first_hour)), "{in_a_day}, about six an hour");
    assert!(bench.store.rows().operations[&town].operation.attempt >= Policy::production().limits.alert_attempts);
    assert!(bench.store.town(town).machine_id.is_some(), "the id is kept");

    bench.fly.schedule().stop_faults();
    sleep(15 * MINUTE).await;
    stop.cancel();
    workers.await.unwrap();
    bench.assert_nothing_left(town);
    bench.assert_invariants("after a day");
}

#[tokio::test(start_paused = true)]
async fn volume_id_is_kept_until_deletion_succeeds() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.schedule().always(Call::Fly(Action::DeleteVolume), Fault::ServerError);
    let replica = bench.replica();
    replica.towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    assert!(bench.fly.count(Action::DeleteVolume) > 1, "the delete was sent");
    let row = bench.store.town(town);
    assert_eq!((row.machine_id, row.volume_id.is_some()), (None, true));

    bench.fly.schedule().stop_faults();
    assert!(bench.until_quiet().await.is_some());
    bench.assert_nothing_left(town);
}

#[tokio::test(start_paused = true)]
async fn throttled_create_is_not_rolled_back_at_its_timeout() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 60, Fault::Throttled);
    let replica = bench.replica();
    let town = replica.towns.create_town(&alice(), request("mill")).await.unwrap();
    assert_eq!(town.town.status, TownStatus::Provisioning);
    let row = bench.store.rows().operations[&town.town.id].operation.clone();
    assert_eq!(row.last_error, Some(Failure::Throttled.into()), "the owner sees the reason");
    assert!(
        row.deadline_at > Some(row.created_at + Policy::production().timeouts.create),
        "queue time extends the deadline"
    );

    let (stop, timeout) = (replica.stop.clone(), Policy::production().timeouts.create);
    let workers = tokio::spawn(replica.workers.run(stop.clone()));
    sleep(timeout * 2).await;
    assert_eq!(bench.store.town(town.town.id).status, TownStatus::Provisioning, "still queued");
    bench.fly.schedule().stop_faults();
    sleep(11 * MINUTE).await;
    stop.cancel();
    workers.await.unwrap();
    assert_eq!(bench.store.town(town.town.id).status, TownStatus::Running);
    bench.assert_invariants("created after throttling");
}

/// The process's clock only dates what users see. The queue time does not depend on it (FM-51).
#[tokio::test(start_paused = true)]
async fn wrong_process_clock_does_not_change_queue_time() {
    for hours in [-2, 2] {
        let bench = Bench::new();
        bench.fly.schedule().always(Call::Fly(Action::CreateMachine), Fault::Throttled);
        let replica = bench.replica();
        replica.process.shift_clock(TimeDelta::hours(hours));
        let town = replica.towns.create_town(&alice(), request("mill")).await.unwrap().town.id;
        let stop = replica.stop.clone();
        let workers = tokio::spawn(replica.workers.run(stop.clone()));
        sleep(40 * MINUTE).await;
        assert_eq!(bench.store.town(town).status, TownStatus::Provisioning, "{hours} hours off, still queued");
        sleep(50 * MINUTE).await;
        stop.cancel();
        workers.await.unwrap();
        bench.assert_nothing_left(town);
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_raises_no_alert_and_does_not_back_off() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 60, Fault::Throttled);
    let replica = bench.replica();
    let town = replica.towns.create_town(&alice(), request("mill")).await.unwrap().town.id;
    let (stop, since) = (replica.stop.clone(), Instant::now());
    let workers = tokio::spawn(replica.workers.run(stop.clone()));
    while bench.store.town(town).status != TownStatus::Running {
        assert!(since.elapsed() < 30 * MINUTE, "sixty refusals take twenty seconds each");
        if let Some(row) = bench.store.rows().operations.get(&town) {
            assert!(row.operation.attempt < Policy::production().limits.alert_attempts, "{:?}", row.operation);
        }
        sleep(Duration::from_secs(5)).await;
    }
    stop.cancel();
    workers.await.unwrap();
}

/// Each call of a create waits in the queue for as long as a call may, and then succeeds.
#[tokio::test(start_paused = true)]
async fn queueing_at_every_call_does_not_time_out() {
    let bench = Bench::new();
    for action in [Action::ListMachines, Action::ListVolumes, Action::ReadMachine, Action::ReadVolume] {
        bench.fly.schedule().always(Call::Fly(action), Fault::Slow);
    }
    bench.fly.schedule().next(Call::Health, 3, Fault::NotSent);
    let town = bench.create("mill").await.unwrap();
    bench.recover().await;
    assert_eq!(bench.store.town(town.id).status, TownStatus::Running);
    bench.assert_invariants("queued");
}

#[tokio::test(start_paused = true)]
async fn endless_throttling_rolls_create_back() {
    let bench = Bench::new();
    bench.fly.schedule().always(Call::Fly(Action::CreateMachine), Fault::Throttled);
    let replica = bench.replica();
    let town = replica.towns.create_town(&alice(), request("mill")).await.unwrap().town.id;
    let stop = replica.stop.clone();
    let workers = tokio::spawn(replica.workers.run(stop.clone()));
    sleep(90 * MINUTE).await;
    stop.cancel();
    workers.await.unwrap();
    bench.assert_nothing_left(town);
    bench.assert_invariants("rolled back");
}

#[tokio::test(start_paused = true)]
async fn tombstone_with_ids_and_no_operation_is_removed() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    {
        let mut rows = bench.store.rows();
        let row = rows.towns.get_mut(&town).unwrap();
        row.destroyed_at = Some(row.created_at);
        row.status = TownStatus::Destroyed;
        row.sandbox_id = row.sandbox_id.tombstone(town);
    }
    bench.recover().await;
    bench.assert_nothing_left(town);
    bench.assert_invariants("reinstated");
}

#[tokio::test(start_paused = true)]
async fn create_without_operation_is_reinstated_and_finds_its_resources() {
    for lost_at in [Action::CreateVolume, Action::CreateMachine, Action::AwaitMachine] {
        let bench = Bench::new();
        bench.fly.schedule().next(Call::Fly(lost_at), 1, Fault::CrashAfter);
        let (replica, alice) = (bench.replica(), alice());
        assert!(replica.unless_crashed(replica.towns.create_town(&alice, request("mill"))).await.is_none());
        // The row that would tell which calls were sent is lost as well.
        bench.store.rows().operations.clear();
        bench.recover().await;
        let town = bench.store.town(bench.only_town());
        assert_eq!(town.status, TownStatus::Running, "{lost_at:?}");
        assert_eq!(bench.fly.count(Action::CreateMachine), 1, "{lost_at:?}");
        assert_eq!(bench.fly.count(Action::CreateVolume), 1, "{lost_at:?}");
        bench.assert_invariants("reinstated");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_foreground_limit_wait_for_workers() {
    let bench = Bench::new();
    let process = Process::default();
    let mut settings = settings();
    settings.policy = settings.policy.changed(|policy| policy.limits.waiting = 0).unwrap();
    let worker = WorkerId("full".to_owned());
    let towns = TownService::new(bench.ports(&process), settings, worker, CancellationToken::new());
    let town = towns.create_town(&alice(), request("mill")).await.unwrap();
    assert_eq!(town.town.status, TownStatus::Provisioning);
    assert_eq!(bench.fly.schedule().journal, [], "this process makes no calls");
    bench.recover().await;
    assert_eq!(bench.store.town(town.town.id).status, TownStatus::Running);
}

/// Fly reported the machine as stopping, so the stop must not fail. It holds no claim while it waits, and raises an
/// alert.
#[tokio::test(start_paused = true)]
async fn endless_stop_backs_off_and_raises_an_alert() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.schedule().next(Call::Fly(Action::StopMachine), 1, Fault::ReplyLost);
    let (replica, alice) = (bench.replica(), alice());
    let stopping = replica.towns.stop_town(&alice, town);
    let delay_stop = async {
        sleep(Duration::from_secs(1)).await;
        bench.fly.world().machines[0].phase = Phase::Stopping(Instant::now() + 6 * 60 * MINUTE);
    };
    let (town_row, ()) = tokio::join!(stopping, delay_stop);
    assert_eq!(town_row.unwrap().town.status, TownStatus::Running, "not stopped yet");
    let stop = replica.stop.clone();
    let workers = tokio::spawn(replica.workers.run(stop.clone()));

    sleep(5 * 60 * MINUTE).await;
    let row = bench.store.rows().operations[&town].clone();
    assert!(row.operation.attempt >= Policy::production().limits.alert_attempts, "{:?}", row.operation);
    assert_eq!((row.owner, row.lease_until), (None, None), "it waits");
    sleep(2 * 60 * MINUTE).await;
    assert_eq!(bench.store.town(town).status, TownStatus::Stopped);
    stop.cancel();
    workers.await.unwrap();
    bench.assert_invariants("stopped");
}

#[tokio::test(start_paused = true)]
async fn throttling_does_not_reset_attempts() {
    let bench = Bench::new();
    let town = destroy_that_cannot_finish(&bench).await;
    let replica = bench.replica();
    let stop = CancellationToken::new();
    let workers = tokio::spawn(replica.workers.run(stop.clone()));
    sleep(3 * 60 * MINUTE).await;
    let before = bench.store.rows().operations[&town].operation.attempt;
    assert!(before > Policy::production().limits.alert_attempts);

    bench.fly.schedule().next(Call::Fly(Action::ReadMachine), 2, Fault::Throttled);
    sleep(60 * MINUTE).await;

    let after = bench.store.rows().operations[&town].operation.attempt;
    assert!(after > before, "{before}, then {after}");
    stop.cancel();
    workers.await.unwrap();
}

/// A delete that succeeds but cannot be verified is no progress.
#[tokio::test(start_paused = true)]
async fn removal_that_cannot_be_verified_counts_attempts() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.world().deletes_are_ignored = true;
    let replica = bench.replica();
    let stop = CancellationToken::new();
    replica.towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    for nth in 0..400 {
        bench.fly.schedule().after(Call::Fly(Action::ReadMachine), 2 * nth + 1, Fault::ServerError);
    }
    let workers = tokio::spawn(replica.workers.run(stop.clone()));
    sleep(4 * 60 * MINUTE).await;
    let attempt = bench.store.rows().operations[&town].operation.attempt;
    assert!(attempt >= Policy::production().limits.alert_attempts, "{attempt}");
    stop.cancel();
    workers.await.unwrap();
}

/// Clones take minutes, and there may be many. The town runs meanwhile, and its owner may stop it (FM-52).
#[tokio::test(start_paused = true)]
async fn create_waits_for_rigs_only_until_timeout() {
    let bench = Bench::new();
    let rigs: Vec<_> =
        (0..20).map(|number| format!(r#"{{ "rigName": "r{number}", "repoUrl": "https://github.com/a/b" }}"#)).collect();
    let config: TownConfig = serde_json::from_str(&format!(r#"{{ "rigs": [{}] }}"#, rigs.join(","))).unwrap();
    bench.fly.schedule().next(Call::AddRig, 20, Fault::Slow);
    let (replica, started) = (bench.replica(), Instant::now());
    let town = replica.towns.create_town(&alice(), CreateTown { config, ..request("mill") }).await.unwrap().town.id;
    while bench.store.town(town).status != TownStatus::Running {
        sleep(Duration::from_secs(1)).await;
    }
    let timeout = Policy::production().timeouts.rigs;
    assert!(started.elapsed() < timeout + MINUTE, "{:?}", started.elapsed());

    bench.recover().await;
    bench.assert_invariants("rigs added");
    assert_eq!(bench.store.rows().rigs.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn caller_gets_result_after_failed_result_queries() {
    let bench = Bench::new();
    bench.store.schedule().next(Call::Store(Query::Outcome), 2, Fault::NotSent);
    assert_eq!(bench.create("mill").await.unwrap().status, TownStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn failure_of_one_part_of_a_sweep_does_not_stop_the_others() {
    for failing in [Query::Stranded, Query::TownsWithPendingRigs] {
        let bench = Bench::new();
        bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::CrashAfter);
        let (replica, alice) = (bench.replica(), alice());
        assert!(replica.unless_crashed(replica.towns.create_town(&alice, request("mill"))).await.is_none());
        bench.store.schedule().always(Call::Store(failing), Fault::NotSent);
        sleep(Policy::production().timeouts.lease).await;

        let other = bench.replica();
        assert_eq!(other.workers.sweep().await.unwrap(), 1, "{failing:?}");
        other.workers.idle().await;
        assert_eq!(bench.store.town(bench.only_town()).status, TownStatus::Running);
    }
}

#[tokio::test(start_paused = true)]
async fn ignored_deletes_are_not_repeated_every_two_seconds() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.world().deletes_are_ignored = true;
    let replica = bench.replica();
    replica.towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    let stop = replica.stop.clone();
    let workers = tokio::spawn(replica.workers.run(stop.clone()));
    let (before, since) = (bench.fly.schedule().journal.len(), Instant::now());
    sleep(6 * 60 * MINUTE).await;
    let calls = bench.fly.schedule().journal.len() - before;
    assert!(calls < 400, "{calls} calls in {:?}", since.elapsed());
    assert_eq!(bench.store.rows().operations[&town].operation.kind, OperationKind::Destroy);
    bench.fly.world().deletes_are_ignored = false;
    sleep(15 * MINUTE).await;
    stop.cancel();
    workers.await.unwrap();
    bench.assert_nothing_left(town);
}
