//! Observations that are unclear, transitional, or missing too often at once. They confirm no drift.

use gastown_domain::ports::{Action, Alarm, Towns as _};
use gastown_domain::{Town, UserId};
use gastown_orchestrator::DriftReport;
use tokio::time::Instant;

use super::{
    EVERY, WorldChange, agreed, corrected, drift_of, lose_volume, pass, remove_machine, replace_machine, set_phase,
    suspected, taken, undecided, with_other_machine, without_machine,
};
use crate::bench::{Bench, request};
use crate::faults::{Call, Fault};
use crate::world::Phase;

#[tokio::test(start_paused = true)]
async fn transitional_and_unreachable_machines_are_undecided() {
    let cases: [(&str, WorldChange); 5] = [
        ("starting", |world| {
            world.never_start = true;
            set_phase(world, Phase::Starting(Instant::now()));
        }),
        ("stopping", |world| set_phase(world, Phase::Stopping(Instant::now() + EVERY * 60))),
        ("destroying", |world| set_phase(world, Phase::Destroying(Instant::now() + EVERY * 60))),
        ("unreachable host", |world| world.unreachable_hosts = true),
        ("two machines of one name", |world| {
            replace_machine(world);
            let mut third = world.machines[1].clone();
            third.id = "third".parse().unwrap();
            world.machines.push(third);
        }),
    ];
    for (case, change) in cases {
        let bench = Bench::new();
        let town = bench.running("mill").await;
        change(&mut bench.fly.world());
        for _ in 0..5 {
            assert_eq!(pass(&bench).await, undecided(1), "{case}");
        }
        assert_eq!((bench.store.town(town.id), drift_of(&bench, town.id)), (town, None), "{case}");
    }
}

/// Returns a report with one undecided town, and with an alarm if Fly refuses everything.
fn undecided_by(fault: Fault) -> DriftReport {
    let alarm = (fault == Fault::Misconfigured).then_some(Alarm::Refused);
    DriftReport { alarm, ..undecided(1) }
}

#[tokio::test(start_paused = true)]
async fn failed_reads_are_undecided() {
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
                assert_eq!(pass(&bench).await, undecided_by(fault), "{fault:?} of {call}");
            }
            assert_eq!(bench.store.town(town.id), town, "{fault:?} of {call}");
        }
        for call in [Action::ReadVolume, Action::ListVolumes] {
            let bench = Bench::new();
            let town = bench.stopped("mill").await;
            lose_volume(&mut bench.fly.world());
            bench.fly.schedule().always(Call::Fly(call), fault);
            for _ in 0..4 {
                assert_eq!(pass(&bench).await, undecided_by(fault), "{fault:?} of {call}");
            }
            assert_eq!(drift_of(&bench, town.id), None, "{fault:?} of {call}");
        }
    }
}

/// The cause is the token, the organization or the app, and not a town (FM-30).
#[tokio::test(start_paused = true)]
async fn alarm_is_raised_while_provider_refuses_everything() {
    let (bench, _) = with_missing(120, 0).await;
    let alarm = || bench.store.rows().records.jobs["inspection"].alarm;
    bench.fly.schedule().always(Call::Fly(Action::ReadMachine), Fault::Misconfigured);
    // The first hundred towns are enough.
    assert_eq!(pass(&bench).await, DriftReport { alarm: Some(Alarm::Refused), ..undecided(100) });
    assert_eq!(alarm(), Some(Alarm::Refused));
    bench.fly.schedule().stop_faults();
    assert_eq!(pass(&bench).await, agreed(120));
    assert_eq!(alarm(), None);
}

#[tokio::test(start_paused = true)]
async fn no_alarm_when_only_one_app_is_refused() {
    let (bench, _) = with_missing(3, 0).await;
    bench.fly.schedule().next(Call::Fly(Action::ReadMachine), 1, Fault::Misconfigured);
    assert_eq!(pass(&bench).await, DriftReport { agreed: 2, undecided: 1, ..taken(3) });
}

#[tokio::test(start_paused = true)]
async fn volume_being_destroyed_is_undecided() {
    for towns in [1, 5] {
        let bench = Bench::new();
        for number in 0..towns {
            bench.stopped(&format!("mill-{number}")).await;
        }
        bench.fly.world().volumes[0].destroying = Some(Instant::now() + EVERY * 60);
        for _ in 0..4 {
            let expected = DriftReport { agreed: towns - 1, undecided: 1, ..taken(towns) };
            assert_eq!(pass(&bench).await, expected, "of {towns}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn machine_being_destroyed_does_not_hide_its_replacement() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    {
        let mut world = bench.fly.world();
        replace_machine(&mut world);
        let mut destroying = world.machines[0].clone();
        (destroying.id, destroying.phase) =
            ("leaving".parse().unwrap(), Phase::Destroying(Instant::now() + EVERY * 60));
        world.machines.insert(0, destroying);
    }
    for _ in 0..3 {
        pass(&bench).await;
    }
    assert_eq!(bench.store.town(town.id), with_other_machine(town));
}

/// The machine does not mount this volume of the town's name, so it is unknown whose data it holds (FM-22).
#[tokio::test(start_paused = true)]
async fn unused_volume_of_same_name_does_not_replace_lost_volume() {
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
async fn empty_lists_do_not_make_replaced_machine_missing() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    replace_machine(&mut bench.fly.world());
    bench.fly.schedule().next(Call::Fly(Action::ListMachines), 2, Fault::EmptyList);

    for _ in 0..4 {
        assert_eq!(pass(&bench).await, suspected(1));
    }
    assert_eq!(pass(&bench).await, corrected(1));

    assert_eq!(bench.store.town(town.id), with_other_machine(town));
    bench.assert_invariants("replaced");
}

/// Creates running towns, and removes the machines of the first ones.
async fn with_missing(towns: usize, missing: usize) -> (Bench, Vec<Town>) {
    let bench = Bench::new();
    let mut rows = Vec::new();
    for number in 0..towns {
        let owner: UserId = format!("owner-{}", number / 40).parse().unwrap();
        bench.store.rows().users.insert(owner.clone());
        let town = bench.replica().towns.create_town(&owner.clone().into(), request(&format!("mill-{number}"))).await;
        rows.push(town.unwrap());
    }
    for machine in &mut bench.fly.world().machines[..missing] {
        machine.phase = Phase::Gone(Instant::now());
    }
    (bench, rows)
}

#[tokio::test(start_paused = true)]
async fn many_missing_machines_at_once_raise_an_alarm_and_change_nothing() {
    let (bench, towns) = with_missing(7, 6).await;
    for _ in 0..4 {
        let report = pass(&bench).await;
        let alarm = Some(Alarm::ManyAbsent);
        assert_eq!(report, DriftReport { agreed: 1, undecided: 6, alarm, ..taken(7) });
    }
    assert_eq!(bench.store.rows().records.jobs["inspection"].alarm, Some(Alarm::ManyAbsent));
    for town in &towns {
        let health = bench.store.rows().records.health_of(town.id);
        assert_eq!((bench.store.town(town.id), health.suspicion, health.drift), (town.clone(), None, None));
    }

    // The token has its scope again.
    for machine in &mut bench.fly.world().machines {
        machine.phase = Phase::On(Instant::now());
    }
    assert_eq!(pass(&bench).await, agreed(7));
    assert_eq!(bench.store.rows().records.jobs["inspection"].alarm, None);
}

#[tokio::test(start_paused = true)]
async fn pass_checks_every_town_once_and_ends_at_an_alarm() {
    let (bench, _) = with_missing(120, 0).await;
    assert_eq!(pass(&bench).await, agreed(120));
    for machine in &mut bench.fly.world().machines {
        machine.phase = Phase::Gone(Instant::now());
    }
    // The first hundred towns are enough.
    assert_eq!(pass(&bench).await, DriftReport { alarm: Some(Alarm::ManyAbsent), ..undecided(100) });
}

#[tokio::test(start_paused = true)]
async fn many_missing_volumes_at_once_are_not_recorded_as_lost() {
    let bench = Bench::new();
    for number in 0..5 {
        bench.stopped(&format!("mill-{number}")).await;
    }
    for volume in &mut bench.fly.world().volumes {
        volume.gone = true;
    }
    for _ in 0..4 {
        let expected = DriftReport { alarm: Some(Alarm::ManyAbsent), ..undecided(5) };
        assert_eq!(pass(&bench).await, expected);
    }
    assert_eq!(bench.store.rows().records.drifts, []);
}

#[tokio::test(start_paused = true)]
async fn few_missing_machines_among_many_towns_are_recorded() {
    for (towns, missing) in [(4, 4), (15, 5)] {
        let (bench, rows) = with_missing(towns, missing).await;
        for _ in 0..2 {
            let expected = DriftReport { suspected: missing, agreed: towns - missing, ..taken(towns) };
            assert_eq!(pass(&bench).await, expected, "{missing} of {towns}");
        }
        let expected = DriftReport { corrected: missing, agreed: towns - missing, ..taken(towns) };
        assert_eq!(pass(&bench).await, expected, "{missing} of {towns}");
        assert_eq!(bench.store.town(rows[0].id), without_machine(rows[0].clone()), "{missing} of {towns}");
    }
}
