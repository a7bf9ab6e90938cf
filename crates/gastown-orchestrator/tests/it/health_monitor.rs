//! The health monitor: towns that fail are restarted, and those that cannot be mended are left alone.

use std::time::Duration;

use gastown_domain::ports::{Action, DestroyTown, Measurement, TownHealth, Towns as _};
use gastown_domain::{HealthReason, HealthState, OperationKind, Rejection, Town, TownId, TownStatus};
use gastown_orchestrator::HealthReport;
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, Replica, alice};
use crate::faults::{Call, Fault, Query};
use crate::world::Phase;

const EVERY: Duration = Duration::from_secs(180);
/// The lease of a batch.
const LEASE: Duration = Duration::from_secs(120);

/// Waits for a period, and makes a pass with a process.
async fn pass_with(replica: &Replica) -> HealthReport {
    sleep(EVERY).await;
    replica.monitor.pass().await.unwrap()
}

/// Makes passes with a new process each, so that nothing but the rows is remembered. Returns the last report.
async fn passes(bench: &Bench, times: usize) -> HealthReport {
    let mut last = HealthReport::default();
    for _ in 0..times {
        last = pass_with(&bench.replica()).await;
    }
    last
}

fn health(bench: &Bench, town: &Town) -> TownHealth {
    bench.store.rows().records.health_of(town.id)
}

fn state(bench: &Bench, town: &Town) -> HealthState {
    health(bench, town).state.known().unwrap()
}

fn news(bench: &Bench) -> Vec<String> {
    bench.store.rows().records.news.iter().map(|(_, state)| state.clone()).collect()
}

/// Makes the sandbox silent until its machine boots again.
fn wedge(bench: &Bench, town: TownId) {
    bench.fly.world().wedged.insert(town, Some(Instant::now()));
}

/// Makes the sandbox silent, whatever is done.
fn break_for_good(bench: &Bench, town: TownId) {
    bench.fly.world().wedged.insert(town, None);
}

async fn many(bench: &Bench, towns: usize) -> Vec<Town> {
    let mut all = Vec::new();
    for number in 0..towns {
        all.push(bench.running(&format!("mill-{number}")).await);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn wedged_town_is_noticed_restarted_and_comes_back() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    assert_eq!(passes(&bench, 1).await, HealthReport { batches: 1, taken: 1, healthy: 1, ..Default::default() });
    wedge(&bench, town.id);

    let two = passes(&bench, 2).await;
    assert_eq!((two.failed, two.restarted), (1, 0));
    assert_eq!((state(&bench, &town), health(&bench, &town).failures), (HealthState::Healthy, 2));
    let syncs = bench.fly.schedule().count(Call::Sync);
    let third = passes(&bench, 1).await;
    assert_eq!((third.failed, third.restarted), (1, 1));
    let shown = health(&bench, &town);
    assert_eq!((shown.state, shown.reason), (HealthState::Unhealthy.into(), Some(HealthReason::NoAnswer.into())));
    assert_eq!((shown.failures, shown.restarts), (3, 1));

    bench.recover().await;
    assert_eq!(bench.fly.count(Action::StartMachine), 1);
    assert_eq!(bench.fly.schedule().count(Call::Sync), syncs, "a silent sandbox is not asked for a sync");
    let after = bench.replica().monitor.pass().await.unwrap();
    assert_eq!(after.healthy, 1, "it is checked as soon as the restart ends");
    assert_eq!((state(&bench, &town), health(&bench, &town).failures), (HealthState::Healthy, 0));
    assert_eq!(news(&bench), ["unhealthy", "healthy"]);
    bench.assert_invariants_and_history("mended");
}

#[tokio::test(start_paused = true)]
async fn town_that_cannot_be_mended_becomes_error_after_three_restarts() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    break_for_good(&bench, town.id);
    let mut restarted = 0;
    for _ in 0..12 {
        restarted += passes(&bench, 1).await.restarted;
        bench.recover().await;
    }
    assert_eq!(restarted, 3);
    assert_eq!(news(&bench), ["unhealthy", "error"]);
    assert_eq!(health(&bench, &town).reason, Some(HealthReason::NoAnswer.into()));
    assert_eq!(bench.store.town(town.id).status, TownStatus::Running);

    bench.fly.world().wedged.clear();
    assert_eq!(passes(&bench, 1).await.healthy, 1);
    assert_eq!(news(&bench), ["unhealthy", "error", "healthy"], "the recovery is announced");
    bench.assert_invariants("in error");
}

#[tokio::test(start_paused = true)]
async fn sandbox_that_says_it_does_not_work_is_synced_before_its_restart() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.fly.world().sandboxes_unhealthy = true;
    assert_eq!(passes(&bench, 3).await.restarted, 1);
    assert_eq!(health(&bench, &town).reason, Some(HealthReason::NotReady.into()));
    let looks = bench.fly.count(Action::ReadMachine);
    bench.fly.world().sandboxes_unhealthy = false;
    bench.recover().await;
    assert_eq!(bench.fly.schedule().count(Call::Sync), 1);
    assert!(bench.fly.count(Action::ReadMachine) >= looks);
}

#[tokio::test(start_paused = true)]
async fn town_that_cannot_be_asked_keeps_its_health() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    passes(&bench, 1).await;
    // The machine is off, the host does not answer, and the provider does not answer.
    bench.fly.world().machines[0].phase = Phase::Off;
    assert_eq!(passes(&bench, 4).await, HealthReport { batches: 1, taken: 1, unknown: 1, ..Default::default() });
    bench.fly.world().machines[0].phase = Phase::On(Instant::now());
    wedge(&bench, town.id);
    bench.fly.schedule().always(Call::Fly(Action::ReadMachine), Fault::ServerError);
    assert_eq!(passes(&bench, 4).await.unknown, 1);
    assert_eq!((state(&bench, &town), health(&bench, &town).failures), (HealthState::Healthy, 0));
    assert!(news(&bench).is_empty() && bench.store.rows().operations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn silence_of_many_towns_at_once_restarts_none() {
    let bench = Bench::new();
    let towns = many(&bench, 15).await;
    passes(&bench, 1).await;
    for town in &towns[..5] {
        wedge(&bench, town.id);
    }
    let few = passes(&bench, 1).await;
    assert_eq!((few.failed, few.unknown), (5, 0), "a third counts");
    wedge(&bench, towns[5].id);
    let reads = bench.fly.count(Action::ReadMachine);
    let more = passes(&bench, 4).await;
    assert_eq!((more.failed, more.unknown, more.healthy, more.restarted), (0, 6, 9, 0));
    assert_eq!(bench.fly.count(Action::ReadMachine), reads, "the provider is not asked either");
    assert_eq!(health(&bench, &towns[0]).failures, 1);
}

#[tokio::test(start_paused = true)]
async fn replicas_share_a_pass_and_check_no_town_twice() {
    let bench = Bench::new();
    many(&bench, 40).await;
    let asked = bench.fly.schedule().count(Call::Health);
    sleep(EVERY).await;
    let (one, other) = (bench.replica(), bench.replica());
    let reports = tokio::join!(one.monitor.pass(), other.monitor.pass());
    assert_eq!(reports.0.unwrap().healthy + reports.1.unwrap().healthy, 40);
    assert_eq!(bench.fly.schedule().count(Call::Health), asked + 40);
    assert_eq!(bench.replica().monitor.pass().await.unwrap().taken, 0, "the period is not over");
}

#[tokio::test(start_paused = true)]
async fn batch_of_a_dead_replica_is_taken_over() {
    let bench = Bench::new();
    many(&bench, 3).await;
    sleep(EVERY).await;
    let dead = bench.replica();
    bench.fly.schedule().after(Call::Health, 1, Fault::CrashBefore);
    assert!(dead.unless_crashed(dead.monitor.pass()).await.is_none());
    let other = bench.replica();
    assert_eq!(other.monitor.pass().await.unwrap().taken, 0, "the lease holds");
    sleep(LEASE).await;
    assert_eq!(other.monitor.pass().await.unwrap().healthy, 3);
}

#[tokio::test(start_paused = true)]
async fn slow_sandbox_delays_no_other_and_fails_by_its_time_limit() {
    let bench = Bench::new();
    let towns = many(&bench, 8).await;
    sleep(EVERY).await;
    bench.fly.schedule().next(Call::Health, 1, Fault::Slow);
    let began = Instant::now();
    let report = bench.replica().monitor.pass().await.unwrap();
    assert_eq!((report.taken, report.healthy), (8, 7));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let failures: u32 = towns.iter().map(|town| health(&bench, town).failures).sum();
    assert_eq!(failures, u32::try_from(report.failed).unwrap());
}

#[tokio::test(start_paused = true)]
async fn result_is_discarded_if_the_owner_acted_during_the_check() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    wedge(&bench, town.id);
    passes(&bench, 2).await;
    sleep(EVERY).await;
    // The third check is late, and the owner stops and starts the town meanwhile.
    bench.store.schedule().next(Call::Store(Query::RecordHealth), 1, Fault::HangBefore);
    let monitor = bench.replica();
    let owner = async {
        let towns = bench.replica().towns;
        towns.stop_town(&alice(), town.id).await.unwrap();
        towns.start_town(&alice(), town.id).await.unwrap().town
    };
    let (report, started) = tokio::join!(monitor.monitor.pass(), owner);
    assert_eq!((started.town.status, started.operation), (TownStatus::Running, None));
    assert_eq!(report.unwrap_or_default().restarted, 0);
    assert_eq!((health(&bench, &town).failures, health(&bench, &town).restarts), (0, 0));
    assert!(bench.store.rows().operations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn owner_goes_before_a_restart_of_the_monitor() {
    for destroys in [false, true] {
        let bench = Bench::new();
        let town = bench.running("mill").await;
        wedge(&bench, town.id);
        assert_eq!(passes(&bench, 3).await.restarted, 1);
        assert_eq!(bench.store.rows().operations[&town.id].operation.kind, OperationKind::Restart);
        let replica = bench.replica();
        if destroys {
            replica.towns.destroy_town(&alice(), DestroyTown::until_gone(town.id)).await.unwrap();
            bench.assert_nothing_left(town.id);
        } else {
            replica.towns.stop_town(&alice(), town.id).await.unwrap();
            assert_eq!(bench.store.town(town.id).status, TownStatus::Stopped);
        }
        assert!(bench.store.rows().outcomes.values().any(|end| *end == Err(Rejection::Preempted)));
        bench.recover().await;
        assert_eq!(passes(&bench, 4).await, HealthReport::default(), "nothing is left to check");
        assert_eq!(bench.fly.count(Action::StartMachine), 0);
        bench.assert_invariants_and_history("pre-empted");
    }
}

#[tokio::test(start_paused = true)]
async fn checks_are_counted_for_operators() {
    let bench = Bench::new();
    let towns = many(&bench, 2).await;
    break_for_good(&bench, towns[0].id);
    bench.metrics.take();
    passes(&bench, 3).await;
    let counted = bench.metrics.take().into_iter().filter(|event| matches!(event, Measurement::HealthChecked { .. }));
    let counted: Vec<_> = counted.collect();
    let one = |restarted| Measurement::HealthChecked { healthy: 1, failed: 1, unknown: 0, restarted };
    assert_eq!(counted, [one(0), one(0), one(1)]);
}
