//! The lease of a drift pass, and the number of its calls.

use std::time::Duration;

use gastown_domain::TownStatus;
use gastown_domain::ports::Action;
use gastown_orchestrator::DriftReport;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    EVERY, agreed, corrected, detector_on, pass, set_phase, stopped, suspected, taken, turn_off, undecided,
    with_missing,
};
use crate::bench::{Bench, settings};
use crate::faults::{Call, Fault, Process, Query};
use crate::world::Phase;

#[tokio::test(start_paused = true)]
async fn concurrent_replicas_make_one_pass() {
    let bench = Bench::new();
    bench.running("mill").await;
    sleep(EVERY).await;
    let (one, other) = (detector_on(&bench, &Process::default()), detector_on(&bench, &Process::default()));

    let (first, second) = tokio::join!(one.pass(), other.pass());

    let reports = [first.unwrap(), second.unwrap()].into_iter().flatten();
    assert_eq!(reports.filter(|report| report.taken > 0).collect::<Vec<_>>(), [agreed(1)]);
    assert_eq!(one.pass().await.unwrap(), None, "the pass of this period is over");
}

#[tokio::test(start_paused = true)]
async fn another_process_makes_next_pass_after_a_crash() {
    for call in [Call::Store(Query::TakeTowns), Call::Fly(Action::ReadMachine), Call::Store(Query::RecordDrift)] {
        let bench = Bench::new();
        let town = bench.running("mill").await;
        turn_off(&mut bench.fly.world());
        assert_eq!(pass(&bench).await, suspected(1));
        bench.fly.schedule().next(call, 1, Fault::CrashBefore);
        bench.store.schedule().next(call, 1, Fault::CrashBefore);
        sleep(EVERY).await;
        let process = Process::default();
        let drift_detector = detector_on(&bench, &process);
        tokio::select! {
            biased;
            report = drift_detector.pass() => panic!("{call:?}: {report:?}"),
            () = process.died() => {}
        }

        assert_eq!(pass(&bench).await, suspected(1), "{call:?}");
        assert_eq!(pass(&bench).await, corrected(1), "{call:?}");
        assert_eq!(bench.store.town(town.id), stopped(town), "{call:?}");
    }
}

/// Creates towns whose reads are slow, as in an outage. Eight reads run at a time, each as long as allowed.
async fn with_a_slow_fly() -> Bench {
    let bench = Bench::new();
    for number in 0..40 {
        bench.running(&format!("mill-{number}")).await;
    }
    for call in [Action::ReadMachine, Action::ListVolumes] {
        bench.fly.schedule().always(Call::Fly(call), Fault::Slow);
    }
    sleep(EVERY).await;
    bench
}

#[tokio::test(start_paused = true)]
async fn slow_pass_keeps_its_leader_lease() {
    let bench = with_a_slow_fly().await;
    let slow = detector_on(&bench, &Process::default());
    let other = async {
        sleep(Duration::from_secs(70)).await;
        detector_on(&bench, &Process::default()).pass().await
    };
    let (slow, other) = tokio::join!(slow.pass(), other);
    assert_eq!((slow.unwrap(), other.unwrap()), (Some(undecided(40)), None));
}

#[tokio::test(start_paused = true)]
async fn pass_is_abandoned_when_its_lease_cannot_be_renewed() {
    let bench = with_a_slow_fly().await;
    bench.store.schedule().always(Call::Store(Query::RenewJob), Fault::NotSent);
    let began = Instant::now();
    let report = detector_on(&bench, &Process::default()).pass().await.unwrap();
    assert_eq!(report, None);
    assert!(began.elapsed() < settings().policy.timeouts.lease + Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stopped_towns_of_one_app_are_checked_with_one_volume_list() {
    let bench = Bench::new();
    for number in 0..6 {
        bench.stopped(&format!("mill-{number}")).await;
    }
    let before = bench.fly.count(Action::ReadVolume);
    assert_eq!(pass(&bench).await, agreed(6));
    assert_eq!(bench.fly.count(Action::ReadVolume), before);

    // The list is stale, so each volume is read on its own.
    bench.fly.schedule().next(Call::Fly(Action::ListVolumes), 1, Fault::EmptyList);
    assert_eq!(pass(&bench).await, agreed(6));
    assert_eq!(bench.fly.count(Action::ReadVolume), before + 6);
}

/// Returns the number of calls that a pass over towns makes.
fn reads(bench: &Bench) -> [usize; 4] {
    [Action::ListMachines, Action::ListVolumes, Action::ReadMachine, Action::ReadVolume]
        .map(|action| bench.fly.count(action))
}

#[tokio::test(start_paused = true)]
async fn pass_over_agreeing_towns_of_one_app_makes_two_calls() {
    for towns in [4, 100, 250] {
        let (bench, _) = with_missing(towns, 0).await;
        let [machine_lists, volume_lists, machines, volumes] = reads(&bench);
        assert_eq!(pass(&bench).await, agreed(towns));
        assert_eq!(reads(&bench), [machine_lists + 1, volume_lists + 1, machines, volumes], "{towns}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_towns_that_differ_from_the_lists_or_did_so_last_are_read() {
    let (bench, _) = with_missing(30, 0).await;
    let suspected = DriftReport { suspected: 1, agreed: 29, ..taken(30) };
    turn_off(&mut bench.fly.world());
    for (round, (report, read)) in
        [(suspected, 1), (suspected, 1), (agreed(30), 1), (agreed(30), 0)].into_iter().enumerate()
    {
        if round == 2 {
            set_phase(&mut bench.fly.world(), Phase::On(Instant::now()));
        }
        let [machine_lists, volume_lists, machines, volumes] = reads(&bench);
        assert_eq!(pass(&bench).await, report, "{round}");
        assert_eq!(reads(&bench), [machine_lists + 1, volume_lists + 1, machines + read, volumes], "{round}");
    }
}

/// A machine that is not listed, or listed with another volume, is read by its id (FM-32).
#[tokio::test(start_paused = true)]
async fn lists_that_fail_or_lack_towns_decide_nothing() {
    for (call, fault, unlisted) in [
        (Action::ListMachines, Fault::EmptyList, 10),
        (Action::ListMachines, Fault::StaleList, 1),
        (Action::ListVolumes, Fault::EmptyList, 10),
        (Action::ListVolumes, Fault::ServerError, 10),
        (Action::ListMachines, Fault::Throttled, 10),
    ] {
        let (bench, _) = with_missing(10, 0).await;
        bench.fly.schedule().next(Call::Fly(call), 1, fault);
        let before = bench.fly.count(Action::ReadMachine);
        assert_eq!(pass(&bench).await, agreed(10), "{fault:?} of {call}");
        assert_eq!(bench.fly.count(Action::ReadMachine), before + unlisted, "{fault:?} of {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn few_towns_are_read_without_a_list() {
    let (bench, _) = with_missing(3, 0).await;
    let [machine_lists, volume_lists, machines, volumes] = reads(&bench);
    assert_eq!(pass(&bench).await, agreed(3));
    assert_eq!(reads(&bench), [machine_lists, volume_lists, machines + 3, volumes]);
}

#[tokio::test(start_paused = true)]
async fn job_continues_after_failures_until_stopped() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    turn_off(&mut bench.fly.world());
    bench.store.schedule().next(Call::Store(Query::TakeTowns), 1, Fault::NotSent);
    bench.store.schedule().next(Call::Store(Query::JoinRound), 2, Fault::NotSent);
    let (stop, drift_detector) = (CancellationToken::new(), detector_on(&bench, &Process::default()));
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { drift_detector.run(stop).await }
    });

    sleep(EVERY * 6).await;
    assert_eq!(bench.store.town(town.id).status, TownStatus::Stopped);
    stop.cancel();
    running.await.unwrap();
}
