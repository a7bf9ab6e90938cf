//! What somebody else did to a town's machine or row, found by the operation that comes next.

use std::time::Duration;

use gastown_domain::ports::{TownError, Towns as _};
use gastown_domain::{Drift, Failure, OperationKind, Power, Rejection, TownStatus};
use tokio::time::Instant;

use crate::bench::{Bench, alice};
use crate::faults::{Call, Fault, Query};
use crate::world::Phase;

/// The goal is reached, and what else was found is not kept from the owner (FM-19).
#[tokio::test(start_paused = true)]
async fn a_stop_of_a_town_whose_machine_is_gone_says_so() {
    for dies_in_between in [false, true] {
        let bench = Bench::new();
        let before = bench.running("mill").await;
        {
            let mut world = bench.fly.world();
            world.machines[0].phase = Phase::Gone(Instant::now());
            world.volumes[0].held_by = None;
        }
        let (replica, alice) = (bench.replica(), alice());
        if dies_in_between {
            bench.store.schedule().next(Call::Store(Query::Finish), 1, Fault::CrashBefore);
        }

        let _ = replica.unless_crashed(replica.towns.stop_town(&alice, before.id)).await;
        bench.recover().await;

        let health = bench.replica().towns.town_status(&alice, before.id).await.unwrap().health;
        let town = bench.store.town(before.id);
        assert_eq!((town.status, town.machine_id), (TownStatus::Stopped, None));
        assert_eq!(town.volume_id, before.volume_id);
        assert_eq!(health.drift.map(|(drift, _)| drift), Some(Drift::MachineMissing), "dies: {dies_in_between}");
        bench.assert_invariants("stopped without its machine");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_a_town_whose_machine_was_replaced_misses_none() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    {
        let mut world = bench.fly.world();
        let mut other = world.machines[0].clone();
        other.id = "another".parse().unwrap();
        world.volumes[0].held_by = Some(other.id.clone());
        world.machines[0].phase = Phase::Gone(Instant::now());
        world.machines.push(other);
    }
    let replica = bench.replica();

    assert_eq!(replica.towns.stop_town(&alice(), town).await.unwrap().status, TownStatus::Stopped);

    assert_eq!(replica.towns.town_status(&alice(), town).await.unwrap().health.drift, None);
    bench.assert_invariants("stopped");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_made_a_machine_anew_and_failed_misses_none() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await.id;
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());
    bench.fly.world().sandboxes_unhealthy = true;
    let replica = bench.replica();

    replica.towns.start_town(&alice(), town).await.unwrap();
    bench.recover().await;

    assert_eq!(bench.fly.world().machines_of(town)[0].power(), Power::Off);
    assert_eq!(replica.towns.town_status(&alice(), town).await.unwrap().health.drift, None);
    bench.assert_invariants("off again");
}

/// Somebody made its machine anew with another volume: whatever runs there is not the town (FM-25).
#[tokio::test(start_paused = true)]
async fn no_start_ends_well_on_another_volume_than_the_towns() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    {
        let mut world = bench.fly.world();
        world.machines[0].volume = "vol_other".parse().unwrap();
        world.machines[0].phase = Phase::On(Instant::now());
        world.volumes[0].held_by = None;
    }
    let visits = bench.fly.schedule().count(Call::Health);

    let waiting = bench.replica().towns.start_town(&alice(), town.id).await.unwrap();
    assert_eq!(waiting.status, TownStatus::Stopped);
    bench.recover().await;

    let ended = bench.store.rows().outcomes.values().copied().last();
    assert_eq!(ended, Some(Err(Rejection::Failed(Failure::MachineBusy))));
    assert_eq!(bench.store.town(town.id), town);
    assert_eq!(bench.fly.world().machines_of(town.id)[0].power(), Power::Off);
    assert_eq!(bench.fly.schedule().count(Call::Health), visits, "what runs there is asked nothing");
    // Fly changes no machine's mount, and which disk is right is for whoever changed it to say: without that machine, the
    // town's own.
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());
    assert_eq!(bench.replica().towns.start_town(&alice(), town.id).await.unwrap().status, TownStatus::Running);
    bench.assert_invariants("on its own volume");
}

/// A second volume of the town's name is somebody's, or a lost call's: not where the town's data is (FM-22).
#[tokio::test(start_paused = true)]
async fn a_start_takes_no_other_volume_of_the_name_for_the_lost_one() {
    for machine_is_there in [true, false] {
        let bench = Bench::new();
        let town = bench.stopped("mill").await;
        {
            let mut world = bench.fly.world();
            world.volumes[0].gone = true;
            let name = world.volumes[0].name.clone();
            world.lost_volumes.insert(name);
            if !machine_is_there {
                world.machines[0].phase = Phase::Gone(Instant::now());
            }
            world.add_volume(town.id, &"iad".parse().unwrap());
        }

        let error = bench.replica().towns.start_town(&alice(), town.id).await.unwrap_err();

        let wanted = (OperationKind::Start, Failure::VolumeLost);
        assert!(matches!(error, TownError::Failed { kind, failure } if (kind, failure) == wanted), "{error:?}");
        let row = bench.store.town(town.id);
        assert_eq!((row.status, row.volume_id), (TownStatus::Stopped, town.volume_id), "there: {machine_is_there}");
    }
}

/// What Fly has moved to another host stays readable for days where it was.
#[tokio::test(start_paused = true)]
async fn a_start_goes_on_where_fly_has_moved_the_volume() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    let moved = {
        let mut world = bench.fly.world();
        let holder = world.machines[0].id.clone();
        let moved = world.add_volume(town.id, &"iad".parse().unwrap()).id;
        let [old, new] = world.volumes.as_mut_slice() else { panic!("two") };
        new.rigs.clone_from(&old.rigs);
        (new.used, new.held_by) = (true, Some(holder));
        (old.held_by, old.destroying) = (None, Some(Instant::now() + Duration::from_secs(7 * 24 * 60 * 60)));
        world.machines[0].volume = moved.clone();
        moved
    };

    assert_eq!(bench.replica().towns.start_town(&alice(), town.id).await.unwrap().status, TownStatus::Running);

    assert_eq!(bench.store.town(town.id).volume_id, Some(moved));
}

/// Of several machines that say they are the town's, the one that stays and has its volume is.
#[tokio::test(start_paused = true)]
async fn of_several_machines_a_stop_finds_the_one_with_the_towns_volume() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let own = town.machine_id.clone().unwrap();
    {
        let mut world = bench.fly.world();
        let mut other = world.machines[0].clone();
        (other.id, other.volume) = ("another".parse().unwrap(), "vol_other".parse().unwrap());
        let mut destroying = world.machines[0].clone();
        (destroying.id, destroying.phase) =
            ("leaving".parse().unwrap(), Phase::Destroying(Instant::now() + Duration::from_secs(3600)));
        world.machines.insert(0, other);
        world.machines.insert(0, destroying);
    }
    bench.store.rows().towns.get_mut(&town.id).unwrap().machine_id = None;

    bench.replica().towns.stop_town(&alice(), town.id).await.unwrap();

    assert_eq!(bench.store.town(town.id).machine_id, Some(own));
}

/// No path of ours leaves a town without its create; a row written by hand may. Nothing gets stuck on it.
#[tokio::test(start_paused = true)]
async fn a_stop_of_a_town_that_never_ran_ends_and_the_town_comes_up() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.store.rows().towns.get_mut(&town).unwrap().status = TownStatus::Provisioning;

    let error = bench.replica().towns.stop_town(&alice(), town).await.unwrap_err();
    let wanted = (OperationKind::Stop, Failure::MachineBusy);
    assert!(matches!(error, TownError::Failed { kind, failure } if (kind, failure) == wanted), "{error:?}");
    bench.recover().await;

    assert_eq!(bench.store.town(town).status, TownStatus::Running);
    bench.assert_invariants("up");
}
