//! Idle stops: which towns are stopped, what counts as a use, and the owner, who goes first.

use std::future::Future;
use std::time::Duration;

use gastown_domain::ports::{
    Action, DestroyTown, EventPage, Measurement, TownError, TownPage, TownReport, Towns as _, UpdateTown,
};
use gastown_domain::{
    Change, ConfigPatch, IdleMinutes, IdleStop, OperationKind, Power, Rejection, RigId, RigStatus, TownId, TownStatus,
};
use gastown_orchestrator::IdleReport;
use tokio::time::sleep;

use crate::bench::{Bench, Replica, alice, engine};
use crate::faults::{Call, Query};

/// Returns the moments of an owner's call after the beginning of a pass, in milliseconds. The stop has ended before the last one.
fn moments() -> impl Iterator<Item = u64> {
    (0..100).chain((100..20_000).step_by(100))
}

async fn report(bench: &Bench, town: TownId) -> TownReport {
    bench.replica().towns.town_status(&alice(), town).await.unwrap()
}

/// Stops the idle towns and drives the stops as far as one sweep does.
async fn pass(replica: &Replica) -> IdleReport {
    let report = replica.idle.pass().await.unwrap();
    replica.workers.sweep().await.unwrap();
    replica.workers.idle().await;
    report
}

fn uses(bench: &Bench) -> usize {
    bench.store.schedule().count(Call::Store(Query::RecordUse))
}

/// Returns the kinds of the operations that were accepted for a town after its create.
fn accepted(bench: &Bench, town: TownId) -> Vec<OperationKind> {
    let rows = bench.store.rows();
    let of_town = rows.accepted.values().filter(|(of, kind, _)| *of == town && *kind != OperationKind::Create);
    of_town.map(|(_, kind, _)| *kind).collect()
}

#[tokio::test(start_paused = true)]
async fn idle_town_is_synced_and_stopped_and_says_why() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.make_idle(town.id);
    bench.metrics.take();

    assert_eq!(pass(&bench.replica()).await, IdleReport { listed: 1, stopped: 1 });
    bench.recover().await;

    let after = report(&bench, town.id).await;
    assert_eq!((after.town.status, &after.town.volume_id), (TownStatus::Stopped, &town.volume_id));
    assert!(matches!(after.idle_stop(), Some(IdleStop::Stopped { .. })), "{after:?}");
    let syncs = bench.fly.schedule().count(Call::Sync);
    assert_eq!((syncs, bench.fly.count(Action::StopMachine)), (1, 1));
    let stops = bench.metrics.take().into_iter().filter(|event| matches!(event, Measurement::IdleStopsRequested(1)));
    assert_eq!(stops.count(), 1);
    assert_eq!(pass(&bench.replica()).await, IdleReport::default(), "it is stopped once");
    bench.assert_invariants_and_history("stopped");
}

#[tokio::test(start_paused = true)]
async fn replicas_stop_a_town_once() {
    let bench = Bench::new();
    for name in ["mill", "barn", "forge"] {
        let town = bench.running(name).await;
        bench.make_idle(town.id);
    }
    let (one, other) = (bench.replica(), bench.replica());
    let (first, second) = tokio::join!(one.idle.pass(), other.idle.pass());
    assert_eq!(first.unwrap().stopped + second.unwrap().stopped, 3);
    bench.recover().await;
    assert_eq!(bench.fly.count(Action::StopMachine), 3);
    bench.assert_invariants_and_history("stopped");
}

#[tokio::test(start_paused = true)]
async fn batch_of_a_pass_is_bounded() {
    let mut bench = Bench::new();
    bench.change_policy(|policy| policy.idle.batch = 2);
    for name in ["mill", "barn", "forge"] {
        let town = bench.running(name).await;
        bench.make_idle(town.id);
    }
    let stopped = async || bench.replica().idle.pass().await.unwrap().stopped;
    assert_eq!((stopped().await, stopped().await, stopped().await), (2, 1, 0));
}

/// A call of the owner, with the name of its procedure.
type Used<'a> = (&'static str, std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>);

#[tokio::test(start_paused = true)]
async fn calls_that_name_the_town_are_its_use_and_lists_are_not() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    let replica = bench.replica();
    let towns = &replica.towns;
    let page = EventPage { town, before: None, limit: 10 };
    bench.make_idle(town);
    towns.list_towns(&alice(), TownPage::default()).await.unwrap();
    towns.town_events(&alice(), page).await.unwrap();
    towns.regions(&alice()).await.unwrap();
    assert_eq!(uses(&bench), 0);

    let version = async || bench.store.town(town).config.version();
    let update = async || {
        let config = ConfigPatch { max_polecats: Change::Set(3), ..ConfigPatch::default() };
        UpdateTown { town, config, expected: version().await }
    };
    let calls: [Used<'_>; 5] = [
        ("getTownStatus", Box::pin(async { drop(towns.town_status(&alice(), town).await) })),
        ("watchTown", Box::pin(async { drop(towns.watch_town(&alice(), town, None).await) })),
        ("getRig", Box::pin(async { drop(towns.rig(&alice(), town, RigId::new(uuid::Uuid::nil())).await) })),
        ("addRig", Box::pin(async { drop(towns.add_rig(&alice(), engine(town)).await) })),
        ("updateTown", Box::pin(async { drop(towns.update_town(&alice(), update().await).await) })),
    ];
    for (name, call) in calls {
        bench.make_idle(town);
        let before = uses(&bench);
        call.await;
        assert_eq!(uses(&bench), before + 1, "{name}");
        assert_eq!(replica.idle.pass().await.unwrap(), IdleReport::default(), "{name}");
    }
    // A user without the town uses nothing.
    bench.make_idle(town);
    let bob = gastown_domain::ports::Caller::Trusted("bob".parse().unwrap());
    assert!(matches!(towns.town_status(&bob, town).await, Err(TownError::NotFound)));
    assert_eq!(replica.idle.pass().await.unwrap().stopped, 1);
}

#[tokio::test(start_paused = true)]
async fn use_is_written_at_most_every_thirty_seconds_and_only_with_the_setting() {
    let bench = Bench::new();
    let (on, off) = (bench.running("mill").await.id, bench.running("barn").await.id);
    bench.make_idle(on);
    for _ in 0..10 {
        report(&bench, on).await;
        report(&bench, off).await;
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(uses(&bench), 1);
    sleep(Duration::from_secs(30)).await;
    report(&bench, on).await;
    assert_eq!(uses(&bench), 2);
}

#[tokio::test(start_paused = true)]
async fn call_succeeds_if_its_use_cannot_be_recorded() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.make_idle(town);
    bench.store.schedule().next(Call::Store(Query::RecordUse), 1, crate::faults::Fault::NotSent);
    assert_eq!(report(&bench, town).await.town.id, town);
}

#[tokio::test(start_paused = true)]
async fn turning_it_on_is_a_use() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.make_idle(town.id);
    bench.store.rows().towns.get_mut(&town.id).unwrap().config.idle_stop_minutes = None;
    let config = ConfigPatch { idle_stop_minutes: Change::Set(IdleMinutes::new(5).unwrap()), ..ConfigPatch::default() };
    let update = UpdateTown { town: town.id, config, expected: town.config.version() };
    let replica = bench.replica();
    replica.towns.update_town(&alice(), update).await.unwrap();
    assert_eq!(replica.idle.pass().await.unwrap().stopped, 0);
    sleep(Duration::from_secs(5 * 60)).await;
    assert_eq!(replica.idle.pass().await.unwrap().stopped, 1);
}

/// Makes a town idle, and lets its owner call at each moment of its stop. Returns the town of each run, once it is quiet.
async fn at_each_moment<T>(
    call: impl AsyncFn(&Replica, TownId) -> T,
    check: impl Fn(&Bench, TownId, T, &str),
) -> Vec<OperationKind> {
    let mut kinds = Vec::new();
    for moment in moments() {
        let bench = Bench::new();
        let town = bench.running("mill").await.id;
        bench.make_idle(town);
        let (service, owner) = (bench.replica(), bench.replica());
        let owner = async {
            sleep(Duration::from_millis(moment)).await;
            call(&owner, town).await
        };
        let (_, answer) = tokio::join!(pass(&service), owner);
        bench.recover().await;
        check(&bench, town, answer, &format!("at {moment} ms"));
        bench.assert_invariants_and_history(&format!("at {moment} ms"));
        kinds.extend(accepted(&bench, town));
    }
    kinds
}

fn runs(bench: &Bench, town: TownId) -> bool {
    let power = bench.fly.world().machines_of(town)[0].power();
    (bench.store.town(town).status, power) == (TownStatus::Running, Power::On)
}

#[tokio::test(start_paused = true)]
async fn start_of_the_owner_ends_with_a_running_town_at_every_moment() {
    let kinds = at_each_moment(
        async |replica, town| replica.towns.start_town(&alice(), town).await,
        |bench, town, answer, case| {
            let started = answer.unwrap();
            assert!(runs(bench, town), "{case}");
            assert_eq!((started.town.town.status, started.town.operation), (TownStatus::Running, None), "{case}");
            let was_stopped = bench.fly.count(Action::StopMachine) > 0;
            assert!(started.idle_stop.is_some() || !was_stopped, "{case}: the answer says so");
        },
    )
    .await;
    for kind in [OperationKind::Stop, OperationKind::Start, OperationKind::Restart] {
        assert!(kinds.contains(&kind), "no moment led to a {kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn rig_of_the_owner_ends_with_a_running_town_at_every_moment() {
    let kinds = at_each_moment(
        async |replica, town| replica.towns.add_rig(&alice(), engine(town)).await,
        |bench, town, answer, case| {
            let added = answer.unwrap();
            assert!(runs(bench, town), "{case}");
            let is_active = bench.store.rows().rigs.iter().all(|rig| rig.status == RigStatus::Active);
            assert!(is_active, "{case}");
            let was_stopped = bench.fly.count(Action::StopMachine) > 0;
            assert!(added.idle_stop.is_some() || !was_stopped, "{case}: the answer says so");
        },
    )
    .await;
    for kind in [OperationKind::Stop, OperationKind::Start, OperationKind::Restart] {
        assert!(kinds.contains(&kind), "no moment led to a {kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_of_the_owner_is_one_of_the_owner_at_every_moment() {
    at_each_moment(
        async |replica, town| replica.towns.stop_town(&alice(), town).await,
        |bench, town, answer, case| {
            assert_eq!(answer.unwrap().town.status, TownStatus::Stopped, "{case}");
            let health = bench.store.rows().records.health_of(town);
            assert_eq!(health.idle_stopped_at, None, "{case}: a new rig does not start it");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn destroy_of_the_owner_leaves_nothing_at_every_moment() {
    at_each_moment(
        async |replica, town| replica.towns.destroy_town(&alice(), DestroyTown::until_gone(town)).await,
        |bench, town, answer, case| {
            assert_eq!(answer.unwrap().town.status, TownStatus::Destroyed, "{case}");
            bench.assert_nothing_left(town);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn read_before_the_stop_wins_at_every_moment() {
    at_each_moment(
        async |replica, town| replica.towns.town_status(&alice(), town).await,
        |bench, town, answer, case| {
            let seen = answer.unwrap();
            // Who saw a running town without an operation was recorded before the stop, or saw it before that was written.
            let stop = bench.store.rows().ends.get(&town).map(|end| end.kind.clone());
            let is_stopped = bench.store.town(town).status == TownStatus::Stopped;
            assert_eq!(stop == Some(OperationKind::Stop.into()), is_stopped, "{case}: {seen:?}");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn town_that_its_owner_has_stopped_is_not_started_by_a_rig() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.make_idle(town);
    let replica = bench.replica();
    replica.towns.stop_town(&alice(), town).await.unwrap();
    let added = replica.towns.add_rig(&alice(), engine(town)).await.unwrap();
    assert_eq!((added.idle_stop, added.town.operation), (None, None));
    bench.recover().await;
    assert_eq!(bench.store.town(town).status, TownStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn idle_stop_that_was_turned_off_meanwhile_is_still_ended_by_a_rig() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.make_idle(town);
    pass(&bench.replica()).await;
    bench.recover().await;
    bench.store.rows().towns.get_mut(&town).unwrap().config.idle_stop_minutes = None;
    let added = bench.replica().towns.add_rig(&alice(), engine(town)).await.unwrap();
    assert!(matches!(added.idle_stop, Some(IdleStop::Stopped { .. })));
    assert_eq!(added.town.operation.unwrap().kind.known(), Some(OperationKind::Start));
    bench.recover().await;
    assert!(runs(&bench, town));
}

#[tokio::test(start_paused = true)]
async fn start_of_a_rig_whose_answer_is_lost_is_driven() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.make_idle(town);
    pass(&bench.replica()).await;
    bench.recover().await;
    bench.store.schedule().next(Call::Store(Query::InsertRigAndStart), 1, crate::faults::Fault::ReplyLost);
    let added = bench.replica().towns.add_rig(&alice(), engine(town)).await.unwrap();
    assert!(matches!(added.idle_stop, Some(IdleStop::Stopped { .. })));
    bench.recover().await;
    assert!(runs(&bench, town));
    bench.assert_invariants_and_history("started");
}

#[tokio::test(start_paused = true)]
async fn pre_empted_idle_stop_is_recorded_as_such() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.make_idle(town);
    let replica = bench.replica();
    replica.idle.pass().await.unwrap();
    replica.towns.start_town(&alice(), town).await.unwrap();
    assert!(bench.store.rows().outcomes.values().any(|end| *end == Err(Rejection::Preempted)));
    assert_eq!(bench.fly.count(Action::StopMachine), 0, "no call was sent");
}
