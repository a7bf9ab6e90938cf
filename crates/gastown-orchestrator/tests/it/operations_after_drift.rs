//! External changes to a town's machine or row that the next operation finds.

use std::time::Duration;

use gastown_domain::ports::{TownError, Towns as _};
use gastown_domain::{Drift, Failure, OperationKind, Power, Rejection, TownStatus};
use tokio::time::Instant;

use crate::bench::{Bench, alice};
use crate::faults::{Call, Fault, Query};
use crate::world::Phase;

/// The stop succeeds, and the owner also sees what else was found (FM-19).
#[tokio::test(start_paused = true)]
async fn stop_of_town_with_missing_machine_reports_it() {
    for crashes in [false, true] {
        let bench = Bench::new();
        let before = bench.running("mill").await;
        {
            let mut world = bench.fly.world();
            world.machines[0].phase = Phase::Gone(Instant::now());
            world.volumes[0].held_by = None;
        }
        let (replica, alice) = (bench.replica(), alice());
        if crashes {
            bench.store.schedule().next(Call::Store(Query::Finish), 1, Fault::CrashBefore);
        }

        let _ = replica.unless_crashed(replica.towns.stop_town(&alice, before.id)).await;
        bench.recover().await;

        let health = bench.replica().towns.town_status(&alice, before.id).await.unwrap().health;
        let town = bench.store.town(before.id);
        assert_eq!((town.status, town.machine_id), (TownStatus::Stopped, None));
        assert_eq!(town.volume_id, before.volume_id);
        assert_eq!(health.drift.map(|(drift, _)| drift), Some(Drift::MachineMissing.into()), "crash: {crashes}");
        bench.assert_invariants("stopped without its machine");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_of_town_with_replaced_machine_reports_no_drift() {
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

    assert_eq!(replica.towns.stop_town(&alice(), town).await.unwrap().town.status, TownStatus::Stopped);

    assert_eq!(replica.towns.town_status(&alice(), town).await.unwrap().health.drift, None);
    bench.assert_invariants("stopped");
}

#[tokio::test(start_paused = true)]
async fn failed_start_that_recreated_machine_reports_no_drift() {
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

/// An external change recreated the machine with another volume. What runs there is not the town (FM-25).
#[tokio::test(start_paused = true)]
async fn start_fails_on_machine_with_another_volume() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    {
        let mut world = bench.fly.world();
        world.machines[0].volume = "vol_other".parse().unwrap();
        world.machines[0].phase = Phase::On(Instant::now());
        world.volumes[0].held_by = None;
    }
    let health_calls = bench.fly.schedule().count(Call::Health);

    let waiting = bench.replica().towns.start_town(&alice(), town.id).await.unwrap().town;
    assert_eq!(waiting.town.status, TownStatus::Stopped);
    bench.recover().await;

    let ended = bench.store.rows().outcomes.values().last().cloned();
    assert_eq!(ended, Some(Err(Rejection::Failed(Failure::MachineBusy.into()))));
    assert_eq!(bench.store.town(town.id), town);
    assert_eq!(bench.fly.world().machines_of(town.id)[0].power(), Power::Off);
    assert_eq!(bench.fly.schedule().count(Call::Health), health_calls, "the other machine's sandbox gets no call");
    // Fly cannot change the mount of a machine, and only the operator knows which disk is right. Without that machine,
    // the start uses the town's own volume.
    bench.fly.world().machines[0].phase = Phase::Gone(Instant::now());
    assert_eq!(
        bench.replica().towns.start_town(&alice(), town.id).await.unwrap().town.town.status,
        TownStatus::Running
    );
    bench.assert_invariants("on its own volume");
}

/// A second volume of the town's name was made by hand or by a lost call. It does not hold the town's data (FM-22).
#[tokio::test(start_paused = true)]
async fn start_does_not_use_another_volume_of_same_name() {
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

        let expected = (OperationKind::Start, Failure::VolumeLost);
        assert!(matches!(error, TownError::Failed { kind, failure } if (kind, failure) == expected), "{error:?}");
        let row = bench.store.town(town.id);
        assert_eq!(
            (row.status, row.volume_id),
            (TownStatus::Stopped, town.volume_id),
            "machine exists: {machine_is_there}"
        );
    }
}

/// A volume that Fly has moved to another host stays readable at its old place for days.
#[tokio::test(start_paused = true)]
async fn start_follows_moved_volume() {
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

    assert_eq!(
        bench.replica().towns.start_town(&alice(), town.id).await.unwrap().town.town.status,
        TownStatus::Running
    );

    assert_eq!(bench.store.town(town.id).volume_id, Some(moved));
}

/// Among several machines with the town's metadata, the one that is not being destroyed and mounts its volume is the
/// town's.
#[tokio::test(start_paused = true)]
async fn stop_chooses_machine_with_the_towns_volume() {
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

/// Only a manual change of the row leaves a provisioning town without its create. Nothing gets stuck on it.
#[tokio::test(start_paused = true)]
async fn stop_of_provisioning_town_fails_and_create_is_reinstated() {
    let bench = Bench::new();
    let town = bench.running("mill").await.id;
    bench.store.rows().towns.get_mut(&town).unwrap().status = TownStatus::Provisioning;

    let error = bench.replica().towns.stop_town(&alice(), town).await.unwrap_err();
    let expected = (OperationKind::Stop, Failure::MachineBusy);
    assert!(matches!(error, TownError::Failed { kind, failure } if (kind, failure) == expected), "{error:?}");
    bench.recover().await;

    assert_eq!(bench.store.town(town).status, TownStatus::Running);
    bench.assert_invariants("up");
}
