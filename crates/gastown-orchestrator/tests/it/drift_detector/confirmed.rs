//! Drift that three agreeing observations confirm, and the corrected rows.

use gastown_domain::{Drift, Town, TownStatus};
use gastown_orchestrator::DriftReport;
use tokio::time::Instant;

use super::{
    WorldChange, agreed, corrected, drift_of, lose_volume, pass, remove_machine, replace_machine, set_phase, stopped,
    suspected, turn_off, undecided, with_other_machine, without_machine,
};
use crate::bench::Bench;
use crate::faults::{Call, Query};
use crate::world::{Phase, Volume, World};

fn fail(world: &mut World) {
    set_phase(world, Phase::Failed);
}

fn turn_on(world: &mut World) {
    set_phase(world, Phase::On(Instant::now()));
}

/// Moves the volume to another host, as Fly does. The machine keeps its id and mounts a copy with another id.
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
    change: WorldChange,
    drift: Drift,
    corrected_row: fn(Town) -> Town,
}

const CASES: [Case; 11] = [
    Case { before: TownStatus::Running, change: turn_off, drift: Drift::MachineStopped, corrected_row: stopped },
    Case { before: TownStatus::Running, change: fail, drift: Drift::MachineStopped, corrected_row: stopped },
    Case { before: TownStatus::Stopped, change: turn_on, drift: Drift::MachineStarted, corrected_row: running },
    Case {
        before: TownStatus::Running,
        change: remove_machine,
        drift: Drift::MachineMissing,
        corrected_row: without_machine,
    },
    Case {
        before: TownStatus::Stopped,
        change: remove_machine,
        drift: Drift::MachineMissing,
        corrected_row: without_machine,
    },
    Case {
        before: TownStatus::Running,
        change: replace_machine,
        drift: Drift::MachineReplaced,
        corrected_row: with_other_machine,
    },
    Case {
        before: TownStatus::Stopped,
        change: replace_machine,
        drift: Drift::MachineReplaced,
        corrected_row: with_other_machine,
    },
    Case { before: TownStatus::Running, change: move_volume, drift: Drift::VolumeMoved, corrected_row: elsewhere },
    Case { before: TownStatus::Stopped, change: move_volume, drift: Drift::VolumeMoved, corrected_row: elsewhere },
    Case { before: TownStatus::Stopped, change: lose_volume, drift: Drift::VolumeLost, corrected_row: unchanged },
    Case {
        before: TownStatus::Running,
        change: |world| {
            move_volume(world);
            world.volumes[1].name.replace_range(.., "other_volume");
        },
        drift: Drift::VolumeLost,
        corrected_row: unchanged,
    },
];

fn unchanged(town: Town) -> Town {
    town
}

fn running(town: Town) -> Town {
    Town { status: TownStatus::Running, ..town }
}

fn elsewhere(town: Town) -> Town {
    Town { volume_id: Some("vol_moved".parse().unwrap()), region: Some("ord".parse().unwrap()), ..town }
}

#[tokio::test(start_paused = true)]
async fn drift_is_recorded_after_three_agreeing_observations() {
    for (number, Case { before, change, drift, corrected_row }) in CASES.into_iter().enumerate() {
        let bench = Bench::new();
        let town = town_of(&bench, before).await;
        assert_eq!(pass(&bench).await, agreed(1), "{number}");
        change(&mut bench.fly.world());

        for observation in 1..=2 {
            assert_eq!(pass(&bench).await, suspected(1), "{number}: {drift:?} after {observation} observations");
            assert_eq!(bench.store.town(town.id), town, "{number}: {drift:?} after {observation} observations");
            assert_eq!(drift_of(&bench, town.id), None, "{number}: {drift:?} after {observation} observations");
        }
        assert_eq!(pass(&bench).await, corrected(1), "{number}: {drift:?}");
        assert_eq!(bench.store.town(town.id), corrected_row(town.clone()), "{number}: {drift:?}");
        assert_eq!(drift_of(&bench, town.id), Some(drift), "{number}");

        // The row is correct now, and the owner still sees the drift.
        assert_eq!(pass(&bench).await, agreed(1), "{number}: {drift:?}");
        assert_eq!(bench.store.rows().records.drifts, [(town.id, drift)], "{number}");
        assert_eq!(drift_of(&bench, town.id), Some(drift), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn matching_observation_resets_count_and_undecided_one_does_not() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let recover_hosts = |world: &mut World| world.unreachable_hosts = false;
    let steps: [(WorldChange, DriftReport); 8] = [
        (turn_off, suspected(1)),
        (|_| {}, suspected(1)),
        (turn_on, agreed(1)),
        (turn_off, suspected(1)),
        (|world| world.unreachable_hosts = true, undecided(1)),
        (recover_hosts, suspected(1)),
        (|_| {}, corrected(1)),
        (|_| {}, agreed(1)),
    ];
    for (number, (change, expected)) in steps.into_iter().enumerate() {
        change(&mut bench.fly.world());
        assert_eq!(pass(&bench).await, expected, "step {number}");
    }
    assert_eq!(bench.store.town(town.id).status, TownStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn replaced_and_stopped_machine_is_adopted_then_recorded_as_stopped() {
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
    assert_eq!(bench.store.town(town.id), stopped(with_other_machine(town.clone())));
    let recorded = bench.store.rows().records.drifts.clone();
    assert_eq!(recorded, [(town.id, Drift::MachineReplaced), (town.id, Drift::MachineStopped)]);
    bench.assert_invariants("replaced and off");
}

#[tokio::test(start_paused = true)]
async fn second_replacement_needs_three_observations_again() {
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
        assert_eq!(bench.store.town(town.id), with_other_machine(town.clone()));
    }
    assert_eq!(pass(&bench).await, corrected(1));
    bench.assert_invariants("replaced twice");
}

#[tokio::test(start_paused = true)]
async fn towns_that_match_their_rows_are_not_written() {
    let bench = Bench::new();
    bench.running("mill").await;
    for _ in 0..3 {
        assert_eq!(pass(&bench).await, agreed(1));
    }
    assert_eq!(bench.store.schedule().count(Call::Store(Query::RecordDrift)), 0);
}
