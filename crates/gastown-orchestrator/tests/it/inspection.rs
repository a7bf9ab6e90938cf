//! Drift: what happens behind our back is believed after three looks that agree, and nothing else is.

use std::time::Duration;

use gastown_domain::ports::{Action, Alarm, Towns as _, WorkerId};
use gastown_domain::{Drift, Failure, Town, TownId, TownStatus, UserId};
use gastown_orchestrator::{InspectionReport, Inspector};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, alice, request, settings};
use crate::faults::{Call, Fault, Process, Query};
use crate::world::{Phase, Volume, World};

const EVERY: Duration = Duration::from_secs(60);

/// Something that happens behind our back.
type Sabotage = fn(&mut World);

fn inspector_on(bench: &Bench, process: &Process) -> Inspector {
    Inspector::new(bench.ports(process), settings().into(), WorkerId("inspector".to_owned()))
}

/// One pass of a fresh process, a period after whatever was before, when it is due.
async fn pass(bench: &Bench) -> InspectionReport {
    sleep(EVERY).await;
    inspector_on(bench, &Process::default()).pass().await.unwrap().unwrap()
}

fn drift_of(bench: &Bench, town: TownId) -> Option<Drift> {
    bench.store.rows().books.health_of(town).drift.map(|(drift, _)| drift)
}

fn looked_at(towns: usize) -> InspectionReport {
    InspectionReport { taken: towns, ..InspectionReport::default() }
}

fn agreed(towns: usize) -> InspectionReport {
    InspectionReport { agreed: towns, ..looked_at(towns) }
}

fn undecided(towns: usize) -> InspectionReport {
    InspectionReport { undecided: towns, ..looked_at(towns) }
}

fn suspected(towns: usize) -> InspectionReport {
    InspectionReport { suspected: towns, ..looked_at(towns) }
}

fn corrected(towns: usize) -> InspectionReport {
    InspectionReport { corrected: towns, ..looked_at(towns) }
}

fn switch(world: &mut World, phase: Phase) {
    world.machines[0].phase = phase;
}

fn turn_off(world: &mut World) {
    switch(world, Phase::Off);
}

fn fail(world: &mut World) {
    switch(world, Phase::Failed);
}

fn turn_on(world: &mut World) {
    switch(world, Phase::On(Instant::now()));
}

fn remove_machine(world: &mut World) {
    switch(world, Phase::Gone(Instant::now()));
    world.volumes[0].held_by = None;
}

/// By an operator, or by Fly: the town's name on a machine with another id.
fn replace_machine(world: &mut World) {
    let mut other = world.machines[0].clone();
    other.id = "another".parse().unwrap();
    world.volumes[0].held_by = Some(other.id.clone());
    switch(world, Phase::Gone(Instant::now()));
    world.machines.push(other);
}

fn lose_volume(world: &mut World) {
    world.volumes[0].gone = true;
}

/// To another host, as Fly does by itself: the machine keeps its id and mounts a copy with another id.
fn move_volume(world: &mut World) {
    let old = &mut world.volumes[0];
    let moved = Volume { id: "vol_moved".parse().unwrap(), region: "ord".parse().unwrap(), ..old.clone() };
    (old.gone, old.held_by) = (true, None);
    world.machines[0].volume = moved.id.clone();
    world.volumes.push(moved);
}

async fn town_of(bench: &Bench, status: TownStatus) -> Town {
    match status {
        TownStatus::Running => bench.running("mill").await,
        _ => bench.stopped("mill").await,
    }
}

struct Case {
    before: TownStatus,
    what: Sabotage,
    drift: Drift,
    truth: fn(Town) -> Town,
}

const CASES: [Case; 11] = [
    Case { before: TownStatus::Running, what: turn_off, drift: Drift::MachineStopped, truth: stopped },
    Case { before: TownStatus::Running, what: fail, drift: Drift::MachineStopped, truth: stopped },
    Case { before: TownStatus::Stopped, what: turn_on, drift: Drift::MachineStarted, truth: running },
    Case { before: TownStatus::Running, what: remove_machine, drift: Drift::MachineMissing, truth: without_machine },
    Case { before: TownStatus::Stopped, what: remove_machine, drift: Drift::MachineMissing, truth: without_machine },
    Case { before: TownStatus::Running, what: replace_machine, drift: Drift::MachineReplaced, truth: with_another },
    Case { before: TownStatus::Stopped, what: replace_machine, drift: Drift::MachineReplaced, truth: with_another },
    Case { before: TownStatus::Running, what: move_volume, drift: Drift::VolumeMoved, truth: elsewhere },
    Case { before: TownStatus::Stopped, what: move_volume, drift: Drift::VolumeMoved, truth: elsewhere },
    Case { before: TownStatus::Stopped, what: lose_volume, drift: Drift::VolumeLost, truth: unchanged },
    Case {
        before: TownStatus::Running,
        what: |world| {
            move_volume(world);
            world.volumes[1].name.replace_range(.., "somebody_elses");
        },
        drift: Drift::VolumeLost,
        truth: unchanged,
    },
];

fn unchanged(town: Town) -> Town {
    town
}

fn stopped(town: Town) -> Town {
    Town { status: TownStatus::Stopped, ..town }
}

fn running(town: Town) -> Town {
    Town { status: TownStatus::Running, ..town }
}

fn without_machine(town: Town) -> Town {
    Town { machine_id: None, status: TownStatus::Stopped, ..town }
}

fn with_another(town: Town) -> Town {
    Town { machine_id: Some("another".parse().unwrap()), ..town }
}

fn elsewhere(town: Town) -> Town {
    Town { volume_id: Some("vol_moved".parse().unwrap()), region: Some("ord".parse().unwrap()), ..town }
}

#[tokio::test(start_paused = true)]
async fn every_drift_is_believed_after_three_looks_and_not_before() {
    for (number, Case { before, what, drift, truth }) in CASES.into_iter().enumerate() {
        let bench = Bench::new();
        let town = town_of(&bench, before).await;
        assert_eq!(pass(&bench).await, agreed(1), "{number}");
        what(&mut bench.fly.world());

        for look in 1..=2 {
            assert_eq!(pass(&bench).await, suspected(1), "{number}: {drift:?} at look {look}");
            assert_eq!(bench.store.town(town.id), town, "{number}: {drift:?} at look {look}");
            assert_eq!(drift_of(&bench, town.id), None, "{number}: {drift:?} at look {look}");
        }
        assert_eq!(pass(&bench).await, corrected(1), "{number}: {drift:?}");
        assert_eq!(bench.store.town(town.id), truth(town.clone()), "{number}: {drift:?}");
        assert_eq!(drift_of(&bench, town.id), Some(drift), "{number}");

        // The row is true now, and the owner still reads what happened.
        assert_eq!(pass(&bench).await, agreed(1), "{number}: {drift:?}");
        assert_eq!(bench.store.rows().books.drifts, [(town.id, drift)], "{number}");
        assert_eq!(drift_of(&bench, town.id), Some(drift), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_or_does_not_answer_decides_nothing() {
    let cases: [(&str, Sabotage); 5] = [
        ("starting", |world| {
            world.never_start = true;
            switch(world, Phase::Starting(Instant::now()));
        }),
        ("stopping", |world| switch(world, Phase::Stopping(Instant::now() + EVERY * 60))),
        ("leaving", |world| switch(world, Phase::Leaving(Instant::now() + EVERY * 60))),
        ("a host that does not answer", |world| world.unreachable_hosts = true),
        ("two of one name", |world| {
            replace_machine(world);
            let mut third = world.machines[1].clone();
            third.id = "third".parse().unwrap();
            world.machines.push(third);
        }),
    ];
    for (case, what) in cases {
        let bench = Bench::new();
        let town = bench.running("mill").await;
        what(&mut bench.fly.world());
        for _ in 0..5 {
            assert_eq!(pass(&bench).await, undecided(1), "{case}");
        }
        assert_eq!((bench.store.town(town.id), drift_of(&bench, town.id)), (town, None), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_decides_nothing() {
    let faults = [
        Fault::NotSent,
        Fault::ReplyLost,
        Fault::ServerError,
        Fault::Throttled,
        Fault::Misconfigured,
        Fault::Refused,
        Fault::Slow,
    ];
    for fault in faults {
        for call in [Action::ReadMachine, Action::ListMachines] {
            let bench = Bench::new();
            let town = bench.running("mill").await;
            remove_machine(&mut bench.fly.world());
            bench.fly.schedule().always(Call::Fly(call), fault);
            for _ in 0..4 {
                assert_eq!(pass(&bench).await, undecided(1), "{fault:?} of {call}");
            }
            assert_eq!(bench.store.town(town.id), town, "{fault:?} of {call}");
        }
        for call in [Action::ReadVolume, Action::ListVolumes] {
            let bench = Bench::new();
            let town = bench.stopped("mill").await;
            lose_volume(&mut bench.fly.world());
            bench.fly.schedule().always(Call::Fly(call), fault);
            for _ in 0..4 {
                assert_eq!(pass(&bench).await, undecided(1), "{fault:?} of {call}");
            }
            assert_eq!(drift_of(&bench, town.id), None, "{fault:?} of {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_leaving_is_neither_there_nor_lost() {
    for towns in [1, 5] {
        let bench = Bench::new();
        for number in 0..towns {
            bench.stopped(&format!("mill-{number}")).await;
        }
        bench.fly.world().volumes[0].leaving = Some(Instant::now() + EVERY * 60);
        for _ in 0..4 {
            let want = InspectionReport { agreed: towns - 1, undecided: 1, ..looked_at(towns) };
            assert_eq!(pass(&bench).await, want, "of {towns}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_the_name_that_is_leaving_does_not_hide_the_one_that_stays() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    {
        let mut world = bench.fly.world();
        replace_machine(&mut world);
        let mut leaving = world.machines[0].clone();
        (leaving.id, leaving.phase) = ("leaving".parse().unwrap(), Phase::Leaving(Instant::now() + EVERY * 60));
        world.machines.insert(0, leaving);
    }
    for _ in 0..3 {
        pass(&bench).await;
    }
    assert_eq!(bench.store.town(town.id), with_another(town));
}

/// A volume of the town's name that its machine does not mount: whose data it holds is not ours to guess (FM-22).
#[tokio::test(start_paused = true)]
async fn another_volume_of_the_name_that_lies_there_unused_is_not_taken_for_the_lost_one() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    {
        let mut world = bench.fly.world();
        lose_volume(&mut world);
        world.add_volume(town.id, &"iad".parse().unwrap());
    }
    for _ in 0..4 {
        assert_eq!(pass(&bench).await, undecided(1));
    }
    assert_eq!((bench.store.town(town.id), drift_of(&bench, town.id)), (town, None));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_agrees_begins_anew_and_one_that_is_undecided_counts_for_nothing() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let calm = |world: &mut World| world.unreachable_hosts = false;
    let steps: [(Sabotage, InspectionReport); 8] = [
        (turn_off, suspected(1)),
        (|_| {}, suspected(1)),
        (turn_on, agreed(1)),
        (turn_off, suspected(1)),
        (|world| world.unreachable_hosts = true, undecided(1)),
        (calm, suspected(1)),
        (|_| {}, corrected(1)),
        (|_| {}, agreed(1)),
    ];
    for (number, (what, want)) in steps.into_iter().enumerate() {
        what(&mut bench.fly.world());
        assert_eq!(pass(&bench).await, want, "step {number}");
    }
    assert_eq!(bench.store.town(town.id).status, TownStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn lists_that_come_back_empty_make_no_machine_missing_that_was_replaced() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    replace_machine(&mut bench.fly.world());
    bench.fly.schedule().next(Call::Fly(Action::ListMachines), 2, Fault::EmptyList);

    for _ in 0..4 {
        assert_eq!(pass(&bench).await, suspected(1));
    }
    assert_eq!(pass(&bench).await, corrected(1));

    assert_eq!(bench.store.town(town.id), with_another(town));
    bench.assert_invariants("replaced");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_somebody_replaced_and_stopped_is_adopted_and_then_seen_to_be_off() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    {
        let mut world = bench.fly.world();
        replace_machine(&mut world);
        world.machines[1].phase = Phase::Off;
    }
    for _ in 0..6 {
        pass(&bench).await;
    }
    assert_eq!(bench.store.town(town.id), stopped(with_another(town.clone())));
    let news = bench.store.rows().books.drifts.clone();
    assert_eq!(news, [(town.id, Drift::MachineReplaced), (town.id, Drift::MachineStopped)]);
    bench.assert_invariants("replaced and off");
}

#[tokio::test(start_paused = true)]
async fn what_happens_once_more_needs_three_looks_once_more() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    replace_machine(&mut bench.fly.world());
    for _ in 0..3 {
        pass(&bench).await;
    }
    {
        let mut world = bench.fly.world();
        world.machines[1].id = "yet_another".parse().unwrap();
        world.volumes[0].held_by = Some("yet_another".parse().unwrap());
    }
    for _ in 0..2 {
        assert_eq!(pass(&bench).await, suspected(1));
        assert_eq!(bench.store.town(town.id), with_another(town.clone()));
    }
    assert_eq!(pass(&bench).await, corrected(1));
    bench.assert_invariants("replaced twice");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_of_towns_that_are_as_their_rows_say() {
    let bench = Bench::new();
    bench.running("mill").await;
    for _ in 0..3 {
        assert_eq!(pass(&bench).await, agreed(1));
    }
    assert_eq!(bench.store.schedule().count(Call::Store(Query::SettleTown)), 0);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_begins_under_a_look_has_the_last_word() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    turn_off(&mut bench.fly.world());
    for _ in 0..2 {
        assert_eq!(pass(&bench).await, suspected(1));
    }
    let replica = bench.replica();
    let (alice, begun) = (alice(), Instant::now() + EVERY);
    let start = async {
        // The town has been taken by then and is being looked at.
        tokio::time::sleep_until(begun + Duration::from_millis(20)).await;
        replica.towns.start_town(&alice, town.id).await.unwrap()
    };

    let (report, started) = tokio::join!(pass(&bench), start);

    assert_eq!(report, undecided(1));
    assert_eq!((started.status, drift_of(&bench, town.id)), (TownStatus::Running, None));
    assert_eq!(pass(&bench).await, agreed(1));
    bench.assert_invariants("started under a look");
}

#[tokio::test(start_paused = true)]
async fn towns_that_something_happens_to_are_their_drivers() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::CrashAfter);
    let replica = bench.replica();
    let alice = alice();
    let create = replica.towns.create_town(&alice, request("mill"));
    assert!(replica.survives(create).await.is_none());
    let gone = bench.running("forge").await;
    bench.replica().towns.destroy_town(&alice, gone.id).await.unwrap();

    assert_eq!(pass(&bench).await, looked_at(0), "neither one on its way nor a tombstone");
}

#[tokio::test(start_paused = true)]
async fn an_operation_ends_what_was_suspected_before_it() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    turn_off(&mut bench.fly.world());
    for _ in 0..2 {
        assert_eq!(pass(&bench).await, suspected(1));
    }
    bench.replica().towns.start_town(&alice(), town.id).await.unwrap();
    turn_off(&mut bench.fly.world());
    assert_eq!(pass(&bench).await, suspected(1), "the first of three");
    assert_eq!(bench.store.town(town.id), town);
}

/// A registry with so many running towns, of whose machines the first are gone.
async fn with_missing(towns: usize, missing: usize) -> (Bench, Vec<Town>) {
    let bench = Bench::new();
    let mut rows = Vec::new();
    for number in 0..towns {
        let owner: UserId = format!("owner-{}", number / 40).parse().unwrap();
        bench.store.rows().users.insert(owner.clone());
        let town = bench.replica().towns.create_town(&owner, request(&format!("mill-{number}"))).await;
        rows.push(town.unwrap());
    }
    for machine in &mut bench.fly.world().machines[..missing] {
        machine.phase = Phase::Gone(Instant::now());
    }
    (bench, rows)
}

#[tokio::test(start_paused = true)]
async fn many_absences_at_once_are_believed_by_nobody() {
    let (bench, towns) = with_missing(7, 6).await;
    for _ in 0..4 {
        let report = pass(&bench).await;
        let alarm = Some(Alarm::ManyAbsent);
        assert_eq!(report, InspectionReport { agreed: 1, undecided: 6, alarm, ..looked_at(7) });
    }
    assert_eq!(bench.store.rows().books.passes["inspection"].alarm, Some(Alarm::ManyAbsent));
    for town in &towns {
        let health = bench.store.rows().books.health_of(town.id);
        assert_eq!((bench.store.town(town.id), health.suspicion, health.drift), (town.clone(), None, None));
    }

    // The token has its scope again.
    for machine in &mut bench.fly.world().machines {
        machine.phase = Phase::On(Instant::now());
    }
    assert_eq!(pass(&bench).await, agreed(7));
    assert_eq!(bench.store.rows().books.passes["inspection"].alarm, None);
}

#[tokio::test(start_paused = true)]
async fn every_town_is_compared_once_in_a_pass_and_an_alarm_breaks_it_off() {
    let (bench, _) = with_missing(120, 0).await;
    assert_eq!(pass(&bench).await, agreed(120));
    for machine in &mut bench.fly.world().machines {
        machine.phase = Phase::Gone(Instant::now());
    }
    // The first hundred are enough.
    assert_eq!(pass(&bench).await, InspectionReport { alarm: Some(Alarm::ManyAbsent), ..undecided(100) });
}

#[tokio::test(start_paused = true)]
async fn volumes_that_are_all_absent_at_once_are_no_lost_volumes() {
    let bench = Bench::new();
    for number in 0..5 {
        bench.stopped(&format!("mill-{number}")).await;
    }
    for volume in &mut bench.fly.world().volumes {
        volume.gone = true;
    }
    for _ in 0..4 {
        let want = InspectionReport { alarm: Some(Alarm::ManyAbsent), ..undecided(5) };
        assert_eq!(pass(&bench).await, want);
    }
    assert_eq!(bench.store.rows().books.drifts, []);
}

#[tokio::test(start_paused = true)]
async fn a_few_absences_among_many_towns_are_believed() {
    for (towns, missing) in [(4, 4), (15, 5)] {
        let (bench, rows) = with_missing(towns, missing).await;
        for _ in 0..2 {
            let want = InspectionReport { suspected: missing, agreed: towns - missing, ..looked_at(towns) };
            assert_eq!(pass(&bench).await, want, "{missing} of {towns}");
        }
        let want = InspectionReport { corrected: missing, agreed: towns - missing, ..looked_at(towns) };
        assert_eq!(pass(&bench).await, want, "{missing} of {towns}");
        assert_eq!(bench.store.town(rows[0].id), without_machine(rows[0].clone()), "{missing} of {towns}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_volume_is_never_replaced_by_an_empty_one() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    lose_volume(&mut bench.fly.world());
    for _ in 0..3 {
        pass(&bench).await;
    }
    assert_eq!(drift_of(&bench, town.id), Some(Drift::VolumeLost));

    let error = bench.replica().towns.start_town(&alice(), town.id).await.unwrap_err();

    let lost = matches!(error, gastown_domain::ports::TownError::Failed { failure: Failure::VolumeLost, .. });
    assert!(lost, "{error:?}");
    assert_eq!(bench.fly.count(Action::CreateVolume), 1);
    assert_eq!(bench.store.town(town.id).volume_id, town.volume_id, "for whoever looks for the data");
    for _ in 0..3 {
        pass(&bench).await;
    }
    assert_eq!(drift_of(&bench, town.id), Some(Drift::VolumeLost), "said again after the operation");
}

#[tokio::test(start_paused = true)]
async fn a_lost_volume_that_is_seen_again_is_lost_no_more() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    lose_volume(&mut bench.fly.world());
    for _ in 0..5 {
        pass(&bench).await;
    }
    assert_eq!(drift_of(&bench, town.id), Some(Drift::VolumeLost));
    bench.fly.world().volumes[0].gone = false;
    assert_eq!(pass(&bench).await, agreed(1));
    assert_eq!(drift_of(&bench, town.id), None);
}

/// Its host took both: the machine is off, and what is worse is what the owner goes on reading.
#[tokio::test(start_paused = true)]
async fn what_becomes_of_the_machine_does_not_hide_that_the_volume_is_lost() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    lose_volume(&mut bench.fly.world());
    for _ in 0..3 {
        pass(&bench).await;
    }
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());
    for _ in 0..4 {
        pass(&bench).await;
    }
    assert_eq!(bench.store.town(town.id), without_machine(town.clone()));
    assert_eq!(drift_of(&bench, town.id), Some(Drift::VolumeLost));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_missing_is_made_anew_on_its_volume_by_the_next_start() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    remove_machine(&mut bench.fly.world());
    for _ in 0..3 {
        pass(&bench).await;
    }
    let started = bench.replica().towns.start_town(&alice(), town.id).await.unwrap();
    assert_eq!((started.status, &started.volume_id), (TownStatus::Running, &town.volume_id));
    assert_eq!(drift_of(&bench, town.id), None, "an operation put it right");
    assert_eq!(pass(&bench).await, agreed(1));
    bench.assert_invariants("made anew");
}

#[tokio::test(start_paused = true)]
async fn two_replicas_at_once_make_one_pass() {
    let bench = Bench::new();
    bench.running("mill").await;
    sleep(EVERY).await;
    let (one, other) = (inspector_on(&bench, &Process::default()), inspector_on(&bench, &Process::default()));

    let (first, second) = tokio::join!(one.pass(), other.pass());

    let mut reports = [first.unwrap(), second.unwrap()];
    reports.sort_by_key(Option::is_some);
    assert_eq!(reports, [None, Some(agreed(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_process_dies_is_made_by_another_when_it_is_due_again() {
    for call in [Call::Store(Query::TakeTowns), Call::Fly(Action::ReadMachine), Call::Store(Query::SettleTown)] {
        let bench = Bench::new();
        let town = bench.running("mill").await;
        turn_off(&mut bench.fly.world());
        assert_eq!(pass(&bench).await, suspected(1));
        bench.fly.schedule().next(call, 1, Fault::CrashBefore);
        bench.store.schedule().next(call, 1, Fault::CrashBefore);
        sleep(EVERY).await;
        let process = Process::default();
        let inspector = inspector_on(&bench, &process);
        tokio::select! {
            biased;
            report = inspector.pass() => panic!("{call:?}: {report:?}"),
            () = process.died() => {}
        }

        assert_eq!(pass(&bench).await, suspected(1), "{call:?}");
        assert_eq!(pass(&bench).await, corrected(1), "{call:?}");
        assert_eq!(bench.store.town(town.id), stopped(town), "{call:?}");
    }
}

/// As when Fly does not answer: eight at a time, each as long as a look may take.
async fn with_a_slow_fly() -> Bench {
    let bench = Bench::new();
    for number in 0..40 {
        bench.running(&format!("mill-{number}")).await;
    }
    bench.fly.schedule().always(Call::Fly(Action::ReadMachine), Fault::Slow);
    sleep(EVERY).await;
    bench
}

#[tokio::test(start_paused = true)]
async fn a_slow_pass_keeps_its_turn() {
    let bench = with_a_slow_fly().await;
    let slow = inspector_on(&bench, &Process::default());
    let other = async {
        sleep(Duration::from_secs(70)).await;
        inspector_on(&bench, &Process::default()).pass().await
    };
    let (slow, other) = tokio::join!(slow.pass(), other);
    assert_eq!((slow.unwrap(), other.unwrap()), (Some(undecided(40)), None));
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_cannot_keep_its_turn_is_broken_off() {
    let bench = with_a_slow_fly().await;
    bench.store.schedule().always(Call::Store(Query::ProlongPass), Fault::NotSent);
    let began = Instant::now();
    let report = inspector_on(&bench, &Process::default()).pass().await.unwrap();
    assert_eq!(report, None);
    assert!(began.elapsed() < settings().policy.lease + Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_stopped_towns_of_one_app_cost_one_list_and_no_look_at_each_volume() {
    let bench = Bench::new();
    for number in 0..6 {
        bench.stopped(&format!("mill-{number}")).await;
    }
    let before = bench.fly.count(Action::ReadVolume);
    assert_eq!(pass(&bench).await, agreed(6));
    assert_eq!(bench.fly.count(Action::ReadVolume), before);

    // The list lags behind: each is looked at by itself.
    bench.fly.schedule().next(Call::Fly(Action::ListVolumes), 1, Fault::EmptyList);
    assert_eq!(pass(&bench).await, agreed(6));
    assert_eq!(bench.fly.count(Action::ReadVolume), before + 6);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_whatever_fails_until_it_is_told_to_stop() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    turn_off(&mut bench.fly.world());
    bench.store.schedule().next(Call::Store(Query::TakeTowns), 1, Fault::NotSent);
    bench.store.schedule().next(Call::Store(Query::BeginPass), 2, Fault::NotSent);
    let (stop, inspector) = (CancellationToken::new(), inspector_on(&bench, &Process::default()));
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { inspector.run(stop).await }
    });

    sleep(EVERY * 6).await;
    assert_eq!(bench.store.town(town.id).status, TownStatus::Stopped);
    stop.cancel();
    running.await.unwrap();
}
