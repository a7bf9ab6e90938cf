//! Operations during drift passes, and operations after drift was recorded.

use std::time::Duration;

use gastown_domain::ports::{Action, DestroyTown, Towns as _};
use gastown_domain::{Drift, Failure, TownStatus};
use tokio::time::Instant;

use super::{
    EVERY, agreed, drift_of, lose_volume, pass, remove_machine, suspected, taken, turn_off, undecided, without_machine,
};
use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault};
use crate::world::Phase;

#[tokio::test(start_paused = true)]
async fn operation_that_begins_during_a_check_wins() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    turn_off(&mut bench.fly.world());
    for _ in 0..2 {
        assert_eq!(pass(&bench).await, suspected(1));
    }
    let replica = bench.replica();
    let (alice, begun) = (alice(), Instant::now() + EVERY);
    let start = async {
        // The pass has read the row by then and observes the town.
        tokio::time::sleep_until(begun + Duration::from_millis(20)).await;
        replica.towns.start_town(&alice, town.id).await.unwrap().town
    };

    let (report, started) = tokio::join!(pass(&bench), start);

    assert_eq!(report, undecided(1));
    assert_eq!((started.town.status, drift_of(&bench, town.id)), (TownStatus::Running, None));
    assert_eq!(pass(&bench).await, agreed(1));
    bench.assert_invariants("started during a check");
}

#[tokio::test(start_paused = true)]
async fn towns_with_an_operation_are_not_checked() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::CrashAfter);
    let replica = bench.replica();
    let alice = alice();
    let create = replica.towns.create_town(&alice, request("mill"));
    assert!(replica.unless_crashed(create).await.is_none());
    let gone = bench.running("forge").await;
    bench.replica().towns.destroy_town(&alice, DestroyTown::until_gone(gone.id)).await.unwrap();

    assert_eq!(pass(&bench).await, taken(0), "neither a create in flight nor a tombstone");
}

#[tokio::test(start_paused = true)]
async fn operation_resets_agreeing_observations() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    turn_off(&mut bench.fly.world());
    for _ in 0..2 {
        assert_eq!(pass(&bench).await, suspected(1));
    }
    bench.replica().towns.start_town(&alice(), town.id).await.unwrap();
    turn_off(&mut bench.fly.world());
    assert_eq!(pass(&bench).await, suspected(1), "the first of three observations");
    assert_eq!(bench.store.town(town.id), town);
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
    assert_eq!(bench.store.town(town.id).volume_id, town.volume_id, "the id is kept for a recovery of the data");
    for _ in 0..3 {
        pass(&bench).await;
    }
    assert_eq!(drift_of(&bench, town.id), Some(Drift::VolumeLost), "recorded again after the operation");
}

#[tokio::test(start_paused = true)]
async fn reappeared_volume_clears_recorded_loss() {
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

/// Its host took both. The lost volume is worse than the missing machine, and stays recorded.
#[tokio::test(start_paused = true)]
async fn missing_machine_does_not_replace_recorded_volume_loss() {
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
async fn next_start_recreates_missing_machine_on_its_volume() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    remove_machine(&mut bench.fly.world());
    for _ in 0..3 {
        pass(&bench).await;
    }
    let started = bench.replica().towns.start_town(&alice(), town.id).await.unwrap().town;
    assert_eq!((started.town.status, &started.town.volume_id), (TownStatus::Running, &town.volume_id));
    assert_eq!(drift_of(&bench, town.id), None, "cleared by the operation");
    assert_eq!(pass(&bench).await, agreed(1));
    bench.assert_invariants("recreated");
}
