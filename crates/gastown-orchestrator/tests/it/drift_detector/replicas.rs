//! Replicas that share one pass.

use std::time::Duration;

use gastown_domain::Town;
use gastown_domain::ports::{Action, Alarm};
use gastown_orchestrator::DriftReport;
use tokio::time::{Instant, sleep, timeout};

use super::{EVERY, agreed, detector_on, pass, suspected, taken, undecided, with_missing};
use crate::bench::Bench;
use crate::faults::{Call, Process, Query};
use crate::world::{Phase, World};

/// Runs the pass of two replicas at once. The first one takes the first batch.
async fn shared_pass(bench: &Bench) -> [DriftReport; 2] {
    sleep(EVERY).await;
    let (one, other) = (detector_on(bench, &Process::default()), detector_on(bench, &Process::default()));
    let reports = tokio::join!(one.pass(), other.pass());
    [reports.0.unwrap().unwrap(), reports.1.unwrap().unwrap()]
}

fn is_alarmed(towns: usize) -> DriftReport {
    DriftReport { alarm: Some(Alarm::ManyAbsent), ..undecided(towns) }
}

fn remove_from(world: &mut World, first: usize) {
    for machine in &mut world.machines[first..] {
        machine.phase = Phase::Gone(Instant::now());
    }
}

fn assert_nothing_recorded(bench: &Bench, towns: &[Town]) {
    for town in towns {
        let health = bench.store.rows().records.health_of(town.id);
        assert_eq!((bench.store.town(town.id), health.suspicion, health.drift), (town.clone(), None, None));
    }
    assert_eq!(bench.store.schedule().count(Call::Store(Query::RecordDrift)), 0);
}

#[tokio::test(start_paused = true)]
async fn replicas_share_a_pass_and_check_no_town_twice() {
    let (bench, _) = with_missing(150, 0).await;
    let before = bench.fly.count(Action::ListMachines);
    assert_eq!(shared_pass(&bench).await, [agreed(100), agreed(50)]);
    assert_eq!(bench.fly.count(Action::ListMachines), before + 2, "one list of each replica");
    let third = detector_on(&bench, &Process::default());
    assert_eq!(third.pass().await.unwrap(), None, "the pass of this period is over");
    assert_eq!(pass(&bench).await, agreed(150), "the next pass checks all of them");
}

#[tokio::test(start_paused = true)]
async fn alarm_stops_the_pass_of_all_replicas() {
    let (bench, towns) = with_missing(250, 250).await;
    for _ in 0..4 {
        let [one, other] = shared_pass(&bench).await;
        assert_eq!([one, other], [is_alarmed(100), is_alarmed(100)], "the last fifty towns are not even taken");
    }
    assert_nothing_recorded(&bench, &towns);
    assert_eq!(bench.store.rows().records.jobs["inspection"].alarm, Some(Alarm::ManyAbsent));
}

/// Three absences alone are below the threshold. The replica that found them is done long before the other.
#[tokio::test(start_paused = true)]
async fn few_absences_of_one_replica_wait_for_the_figures_of_the_others() {
    let (bench, towns) = with_missing(103, 103).await;
    for _ in 0..4 {
        assert_eq!(shared_pass(&bench).await, [is_alarmed(100), is_alarmed(3)]);
    }
    assert_nothing_recorded(&bench, &towns);

    let (bench, _) = with_missing(103, 0).await;
    remove_from(&mut bench.fly.world(), 100);
    assert_eq!(shared_pass(&bench).await, [agreed(100), suspected(3)], "few of all");
}

/// Five of eight would be alarming. Five of all towns are not, though these eight are reported first.
#[tokio::test(start_paused = true)]
async fn small_batch_that_is_reported_first_raises_no_alarm() {
    let (bench, _) = with_missing(108, 0).await;
    remove_from(&mut bench.fly.world(), 103);
    let small = DriftReport { agreed: 3, suspected: 5, ..taken(8) };
    assert_eq!(shared_pass(&bench).await, [agreed(100), small]);
}

#[tokio::test(start_paused = true)]
async fn absences_are_not_recorded_when_another_replica_dies() {
    let (bench, towns) = with_missing(101, 0).await;
    remove_from(&mut bench.fly.world(), 100);
    sleep(EVERY).await;
    let (dying, other) = (detector_on(&bench, &Process::default()), detector_on(&bench, &Process::default()));
    let began = Instant::now();
    let (died, report) = tokio::join!(timeout(Duration::from_millis(20), dying.pass()), other.pass());
    assert!(died.is_err(), "it has taken a hundred towns");
    assert_eq!(report.unwrap(), Some(undecided(1)));
    assert!(began.elapsed() < EVERY, "{:?}: it waited for one lease", began.elapsed());
    assert_nothing_recorded(&bench, &towns);

    // The next pass takes the towns of the dead replica over.
    assert_eq!(pass(&bench).await, DriftReport { agreed: 100, suspected: 1, ..taken(101) });
}
