//! Concurrent requests for one town, callers that disconnect, and unexpected states at Fly.

use std::time::Duration;

use gastown_domain::ports::{Action, Caller, DestroyTown, TownError, Towns as _};
use gastown_domain::{Failure, OperationKind, Power, Recorded, TownId, TownStatus};
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault};

const ONE_SECOND: Duration = Duration::from_secs(1);

fn is_failed(error: &TownError, expected: OperationKind, cause: Failure) -> bool {
    matches!(error, TownError::Failed { kind, failure } if (*kind, *failure) == (expected, cause))
}

#[tokio::test(start_paused = true)]
async fn twenty_creates_of_one_name_make_one_town() {
    let bench = Bench::new();
    let alice = alice();
    let replicas: Vec<_> = (0..20).map(|_| bench.replica()).collect();
    let creates = replicas.iter().map(|replica| replica.towns.create_town(&alice, request("mill")));

    let answers = futures::future::join_all(creates).await;

    let refused = answers.iter().filter(|answer| matches!(answer, Err(TownError::NameTaken))).count();
    assert_eq!((refused, answers.iter().filter(|answer| answer.is_ok()).count()), (19, 1));
    assert_eq!(bench.fly.count(Action::CreateMachine), 1);
    bench.assert_invariants("one town");
}

#[tokio::test(start_paused = true)]
async fn second_operation_is_refused_with_the_kind_in_flight() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let towns = bench.replica().towns;
    let alice = alice();
    let start = async {
        sleep(Duration::from_millis(100)).await;
        bench.replica().towns.start_town(&alice, town).await
    };

    let (stopped, refused) = tokio::join!(towns.stop_town(&alice, town), start);

    assert_eq!(stopped.unwrap().town.status, TownStatus::Stopped);
    assert!(matches!(refused, Err(TownError::InFlight { kind: Recorded::Known(OperationKind::Stop) })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn repeated_request_joins_operation_and_keeps_its_claim() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await.id;
    let towns = bench.replica().towns;
    let alice = alice();
    let again = async {
        sleep(ONE_SECOND).await;
        let fence = bench.store.rows().operations[&town].operation.fence;
        let joined = towns.start_town(&alice, town);
        let watch = async {
            sleep(ONE_SECOND).await;
            assert_eq!(bench.store.rows().operations[&town].operation.fence, fence, "the claim is kept");
        };
        tokio::join!(joined, watch).0
    };

    let (first, second) = tokio::join!(towns.start_town(&alice, town), again);

    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(bench.fly.count(Action::StartMachine), 1);
}

#[tokio::test(start_paused = true)]
async fn a_destroy_preempts_a_running_create() {
    let bench = Bench::new();
    let (towns, alice) = (bench.replica().towns, alice());
    let destroy = async {
        sleep(ONE_SECOND).await;
        let town = bench.only_town();
        (town, towns.destroy_town(&alice, DestroyTown::until_gone(town)).await)
    };

    let (created, (town, destroyed)) = tokio::join!(towns.create_town(&alice, request("mill")), destroy);

    assert!(is_failed(&created.unwrap_err(), OperationKind::Create, Failure::Preempted));
    assert_eq!(destroyed.unwrap().town.status, TownStatus::Destroyed);
    bench.recover().await;
    bench.assert_nothing_left(town);
}

/// The destroy comes at any step of the create, also while a call is slow.
#[tokio::test(start_paused = true)]
async fn a_destroy_at_any_moment_of_a_create_leaves_nothing() {
    for slow in [None, Some(Action::CreateVolume), Some(Action::CreateMachine)] {
        for tenths in (1..80).step_by(3) {
            let bench = Bench::new();
            if let Some(action) = slow {
                bench.fly.schedule().always(Call::Fly(action), Fault::Slow);
            }
            let (replica, alice) = (bench.replica(), alice());
            let destroy = async {
                sleep(Duration::from_millis(tenths * 100)).await;
                replica.towns.destroy_town(&alice, DestroyTown::until_gone(bench.only_town())).await
            };
            let (_, destroyed) = tokio::join!(replica.towns.create_town(&alice, request("mill")), destroy);
            assert!(destroyed.is_ok(), "{slow:?} {tenths}: {destroyed:?}");
            sleep(Duration::from_secs(70)).await;
            bench.recover().await;
            bench.assert_invariants(&format!("slow {slow:?}, destroyed after {tenths} tenths"));
            bench.assert_nothing_left(bench.only_town());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn destroy_during_outage_ends_once_provider_is_back() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.schedule().every_call(Fault::ServerError);

    let answer = bench.replica().towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();

    assert_eq!(answer.town.status, TownStatus::Destroyed, "soft-deleted during the outage");
    let row = bench.store.town(town);
    assert!(row.machine_id.is_some() && row.volume_id.is_some(), "the ids are kept until Fly confirms");
    bench.fly.schedule().stop_faults();
    bench.recover().await;
    bench.assert_nothing_left(town);
}

#[tokio::test(start_paused = true)]
async fn destroy_does_not_wait_for_unreachable_host() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.world().unreachable_hosts = true;

    bench.replica().towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    bench.recover().await;

    bench.assert_nothing_left(town);
}

#[tokio::test(start_paused = true)]
async fn delete_without_effect_backs_off() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.world().deletes_are_ignored = true;
    let replica = bench.replica();

    replica.towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    sleep(Duration::from_secs(3600)).await;

    let deletes = bench.fly.count(Action::DeleteMachine);
    assert!((10..=250).contains(&deletes), "{deletes} deletes in an hour");
    assert!(bench.store.rows().operations[&town].operation.attempt > 10);
}

#[tokio::test(start_paused = true)]
async fn machine_known_only_by_its_volume_is_removed_before_the_volume() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    {
        let mut world = bench.fly.world();
        world.machines[0].name = "renamed".to_owned();
        world.machines[0].metadata.clear();
        bench.store.rows().towns.get_mut(&town).unwrap().machine_id = None;
    }

    bench.replica().towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await.unwrap();
    bench.recover().await;

    bench.assert_nothing_left(town);
    assert!(bench.fly.world().machines.iter().all(crate::world::Machine::is_gone));
}

#[tokio::test(start_paused = true)]
async fn failed_start_of_stopped_town_stops_its_machine() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await.id;
    bench.fly.world().sandboxes_unhealthy = true;
    let replica = bench.replica();

    let waiting = replica.towns.start_town(&alice(), town).await.unwrap().town;
    assert_eq!(waiting.town.status, TownStatus::Stopped);
    // Each call joins the operation. The last one gets its result.
    let mut answer = Ok(waiting);
    while answer.is_ok() {
        answer = replica.towns.start_town(&alice(), town).await.map(|started| started.town);
    }

    assert!(is_failed(&answer.unwrap_err(), OperationKind::Start, Failure::SandboxUnhealthy));
    assert_eq!(bench.store.town(town).status, TownStatus::Stopped);
    assert_eq!(bench.fly.world().machines_of(town)[0].power(), Power::Off);
    bench.assert_invariants("stopped again");
}

#[tokio::test(start_paused = true)]
async fn stop_that_joins_rollback_of_start_succeeds() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await.id;
    bench.fly.world().sandboxes_unhealthy = true;
    let replica = bench.replica();
    replica.towns.start_town(&alice(), town).await.unwrap();
    while bench.store.rows().operations[&town].operation.kind != OperationKind::Stop {
        sleep(Duration::from_millis(10)).await;
    }

    let stopped = replica.towns.stop_town(&alice(), town).await.unwrap();

    assert_eq!(stopped.town.status, TownStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_of_a_running_town_does_not_stop_it() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.fly.world().sandboxes_unhealthy = true;

    bench.replica().towns.start_town(&alice(), town).await.unwrap();
    bench.recover().await;

    assert_eq!(bench.fly.count(Action::StopMachine), 0);
    assert_eq!(bench.store.town(town).status, TownStatus::Running);
    bench.assert_invariants("still running");
}

#[tokio::test(start_paused = true)]
async fn a_lost_volume_is_never_replaced() {
    let bench = Bench::new();
    let before = bench.stopped("mill").await;
    let made = bench.fly.count(Action::CreateVolume);
    bench.fly.world().volumes.clear();

    let error = bench.replica().towns.start_town(&alice(), before.id).await.unwrap_err();

    assert!(is_failed(&error, OperationKind::Start, Failure::VolumeLost), "{error:?}");
    assert_eq!(bench.fly.count(Action::CreateVolume), made);
    let town = bench.store.town(before.id);
    assert_eq!((town.status, town.volume_id), (TownStatus::Stopped, before.volume_id), "its id is kept");
}

#[tokio::test(start_paused = true)]
async fn disconnected_caller_cancels_nothing() {
    let bench = Bench::new();
    let replica = bench.replica();
    let alice = alice();
    let disconnected = tokio::time::timeout(ONE_SECOND, replica.towns.create_town(&alice, request("mill"))).await;
    assert!(disconnected.is_err());

    sleep(Duration::from_secs(30)).await;

    let town = bench.store.town(bench.only_town());
    assert_eq!(town.status, TownStatus::Running);
    bench.assert_invariants("disconnected");
}

#[tokio::test(start_paused = true)]
async fn caller_is_answered_after_configured_wait_while_work_continues() {
    let bench = Bench::new();
    bench.fly.world().never_start = true;
    let started = Instant::now();

    let town = bench.create("mill").await.unwrap();

    assert_eq!((town.status, started.elapsed().as_secs()), (TownStatus::Provisioning, 60));
    bench.fly.world().never_start = false;
    bench.recover().await;
    assert_eq!(bench.store.town(town.id).status, TownStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn other_users_cannot_change_a_town() {
    let bench = Bench::new();
    let town: TownId = bench.running("mill").await.id;
    let (towns, bob) = (bench.replica().towns, Caller::Trusted("bob".parse().unwrap()));
    let answers = [
        towns.stop_town(&bob, town).await,
        towns.start_town(&bob, town).await.map(|started| started.town),
        towns.destroy_town(&bob, DestroyTown::until_gone(town)).await,
    ];
    for answer in answers {
        assert!(matches!(answer, Err(TownError::NotFound)), "{answer:?}");
    }
    bench.assert_invariants("untouched");
}
