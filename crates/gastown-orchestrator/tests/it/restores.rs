//! Restores of towns whose volume is lost.

use gastown_domain::ports::{
    Action, Clock as _, DestroyTown, RestoreRefusal, RestoreTown, RestoredTown, TownError, Towns as _,
};
use gastown_domain::{Drift, Failure, OperationKind, Power, Town, TownStatus};
use tokio::time::sleep;

use crate::bench::{Bench, alice};

/// Returns a stopped town whose volume Fly has lost, as the registry records.
async fn without_volume(bench: &Bench) -> Town {
    let town = bench.stopped("mill").await;
    assert!(bench.fly.world().lose_volume(town.id));
    record_loss(bench, &town);
    town
}

fn record_loss(bench: &Bench, town: &Town) {
    let now = bench.store.clock.now();
    bench.store.rows().records.health.entry(town.id).or_default().drift = Some((Drift::VolumeLost.into(), now));
}

fn request(town: &Town) -> RestoreTown {
    RestoreTown { town: town.id, confirm: town.name.clone() }
}

async fn restore(bench: &Bench, town: &Town) -> Result<RestoredTown, TownError> {
    bench.replica().towns.restore_town(&alice(), request(town)).await
}

/// Returns the values of `R2_RESTORE` of the town's machines.
fn restoring(bench: &Bench, town: &Town) -> Vec<String> {
    let world = bench.fly.world();
    world.machines_of(town.id).iter().filter_map(|machine| machine.env.get("R2_RESTORE").cloned()).collect()
}

fn failure_of(result: Result<RestoredTown, TownError>) -> Failure {
    match result {
        Err(TownError::Failed { kind: OperationKind::Restore, failure }) => failure,
        other => panic!("{other:?}"),
    }
}

fn is_lost(bench: &Bench, town: &Town) -> bool {
    bench.store.rows().records.health_of(town.id).drift.is_some_and(|(drift, _)| drift == Drift::VolumeLost)
}

#[tokio::test(start_paused = true)]
async fn lost_town_runs_again_on_a_new_volume_with_its_data() {
    let bench = Bench::new();
    let town = without_volume(&bench).await;

    let restored = restore(&bench, &town).await.unwrap();

    assert_eq!(Some(restored.saved_at), town.last_r2_sync_at);
    let after = restored.town.town;
    assert_eq!((after.status, restored.town.operation), (TownStatus::Running, None));
    assert!(after.volume_id.is_some() && after.volume_id != town.volume_id);
    assert!(after.machine_id.is_some() && after.machine_id != town.machine_id);
    assert!(!is_lost(&bench, &town));
    assert_eq!(restoring(&bench, &town), ["1"]);
    bench.assert_invariants_and_history("restored");

    // The next start does not restore again.
    let towns = bench.replica().towns;
    towns.stop_town(&alice(), town.id).await.unwrap();
    towns.start_town(&alice(), town.id).await.unwrap();
    assert!(restoring(&bench, &town).is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_a_lost_and_saved_town_is_restored_by_its_name() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    let refused = restore(&bench, &town).await;
    assert!(matches!(refused, Err(TownError::NotRestorable(RestoreRefusal::VolumeNotLost))), "{refused:?}");

    record_loss(&bench, &town);
    let other = RestoreTown { confirm: "mil".parse().unwrap(), ..request(&town) };
    let refused = bench.replica().towns.restore_town(&alice(), other).await;
    assert!(matches!(refused, Err(TownError::NotConfirmed)), "{refused:?}");

    bench.store.rows().towns.get_mut(&town.id).unwrap().last_r2_sync_at = None;
    let refused = restore(&bench, &town).await;
    assert!(matches!(refused, Err(TownError::NotRestorable(RestoreRefusal::NeverSaved))), "{refused:?}");
    assert!(bench.store.rows().restores.is_empty());
}

#[tokio::test(start_paused = true)]
async fn volume_that_exists_is_not_replaced() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    record_loss(&bench, &town);
    let made = bench.fly.count(Action::CreateVolume);

    assert_eq!(failure_of(restore(&bench, &town).await), Failure::VolumeFound);

    assert_eq!((bench.fly.count(Action::CreateVolume), bench.fly.count(Action::DeleteMachine)), (made, 0));
    assert_eq!(bench.store.town(town.id).volume_id, town.volume_id);
    assert_eq!(bench.fly.world().machines_of(town.id)[0].power(), Power::Off);
}

#[tokio::test(start_paused = true)]
async fn volume_that_was_moved_is_not_replaced() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    assert!(bench.fly.world().move_volume(town.id));
    record_loss(&bench, &town);

    assert_eq!(failure_of(restore(&bench, &town).await), Failure::VolumeFound);

    assert_eq!(bench.fly.count(Action::DeleteMachine), 0);
    assert_eq!(bench.fly.world().volumes_of(town.id).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failed_restore_leaves_nothing_and_may_be_tried_again() {
    let bench = Bench::new();
    let town = without_volume(&bench).await;
    for (prepare, failure) in [
        ((|world| world.machines_refused = true) as fn(&mut crate::world::World), Failure::MachineRefused),
        (|world| world.images_cannot_restore = true, Failure::DataNotRestored),
        (|world| world.fail_at_boot = true, Failure::MachineFailed),
    ] {
        prepare(&mut bench.fly.world());
        assert_eq!(failure_of(restore(&bench, &town).await), failure);
        let after = bench.store.town(town.id);
        assert_eq!((after.status, after.machine_id), (TownStatus::Stopped, None));
        assert_eq!((&after.volume_id, &after.region), (&town.volume_id, &town.region), "the id leads to the data");
        assert!(is_lost(&bench, &town));
        bench.assert_invariants_and_history("undone");
        let mut world = bench.fly.world();
        (world.machines_refused, world.images_cannot_restore, world.fail_at_boot) = (false, false, false);
    }
    let restored = restore(&bench, &town).await.unwrap();
    assert_eq!(restored.town.town.status, TownStatus::Running);
    bench.assert_invariants_and_history("restored");
}

#[tokio::test(start_paused = true)]
async fn destroy_pre_empts_a_restore_and_its_undo() {
    for undone in [false, true] {
        let bench = Bench::new();
        let town = without_volume(&bench).await;
        bench.fly.world().machines_refused = undone;
        bench.fly.world().volumes_are_deleted_slowly = undone;
        let call = if undone { Action::DeleteVolume } else { Action::CreateMachine };
        let (replica, other) = (bench.replica(), bench.replica());
        let (caller, request) = (alice(), request(&town));
        let destroy = async {
            while bench.fly.count(call) == 0 {
                sleep(std::time::Duration::from_millis(10)).await;
            }
            other.towns.destroy_town(&alice(), DestroyTown::until_gone(town.id)).await.unwrap()
        };
        let (restored, _) = tokio::join!(replica.towns.restore_town(&caller, request), destroy);
        assert!(restored.is_err(), "{restored:?}");
        bench.recover().await;
        bench.assert_nothing_left(town.id);
    }
}

#[tokio::test(start_paused = true)]
async fn owner_waits_with_a_restore_that_is_in_flight() {
    let bench = Bench::new();
    let town = without_volume(&bench).await;
    let (replica, other) = (bench.replica(), bench.replica());
    let caller = alice();
    let (first, second) = tokio::join!(
        replica.towns.restore_town(&caller, request(&town)),
        other.towns.restore_town(&caller, request(&town))
    );
    assert_eq!(first.unwrap().town.town.status, TownStatus::Running);
    assert_eq!(second.unwrap().town.town.status, TownStatus::Running);
    let made = bench.fly.world().volumes_of(town.id).len();
    assert_eq!(made, 1);
}
