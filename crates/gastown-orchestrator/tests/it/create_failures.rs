//! Creates that cannot succeed. They leave a tombstone and nothing at Fly, and return the cause to the caller.

use std::time::Duration;

use gastown_domain::ports::{Action, DestroyTown, TownError, Towns as _};
use gastown_domain::{Failure, OperationKind, Region, Town, TownStatus};
use tokio::time::Instant;

use crate::bench::{Bench, alice};
use crate::faults::{Call, Fault};
use crate::world::{DELETION, World};

async fn fails_with(bench: &Bench, failure: Failure) {
    let error = bench.create("mill").await.unwrap_err();
    let expected = (OperationKind::Create, failure);
    assert!(matches!(error, TownError::Failed { kind, failure } if (kind, failure) == expected), "{error:?}");
    bench.recover().await;
    bench.assert_nothing_left(bench.only_town());
    bench.assert_invariants("rolled back");
}

async fn fails_with_fault(action: Action, fault: Fault, failure: Failure) {
    let bench = Bench::new();
    bench.fly.schedule().always(Call::Fly(action), fault);
    fails_with(&bench, failure).await;
}

async fn fails_in_world(world: impl FnOnce(&mut World), failure: Failure) {
    let bench = Bench::new();
    world(&mut bench.fly.world());
    // The caller's wait is over long before the create gives up.
    let town = bench.create("mill").await.unwrap();
    assert_eq!(town.status, TownStatus::Provisioning);
    bench.recover().await;
    let ended = bench.store.rows().outcomes.values().last().cloned();
    assert_eq!(ended, Some(Err(gastown_domain::Rejection::RolledBack(failure.into()))));
    bench.assert_nothing_left(town.id);
    bench.assert_invariants("rolled back");
}

#[tokio::test(start_paused = true)]
async fn a_refused_volume_rolls_the_create_back() {
    fails_with_fault(Action::CreateVolume, Fault::Refused, Failure::VolumeRefused).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_machine_rolls_the_create_back() {
    fails_with_fault(Action::CreateMachine, Fault::Refused, Failure::MachineRefused).await;
}

#[tokio::test(start_paused = true)]
async fn no_volume_capacity_in_any_region_rolls_create_back() {
    fails_with_fault(Action::CreateVolume, Fault::NoCapacity, Failure::NoCapacity).await;
}

#[tokio::test(start_paused = true)]
async fn full_hosts_in_every_region_roll_create_back() {
    fails_with_fault(Action::CreateMachine, Fault::HostFull, Failure::NoCapacity).await;
}

/// Another host of a region may have capacity. If no region is left, each gets one more volume (FM-06).
#[tokio::test(start_paused = true)]
async fn create_tries_second_host_when_one_host_of_each_region_is_full() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 2, Fault::HostFull);

    let town = bench.create("mill").await.unwrap();

    assert_eq!(town.status, TownStatus::Running);
    assert_eq!(bench.fly.count(Action::CreateVolume), 3, "one more volume in a region that was tried");
    bench.recover().await;
    bench.assert_invariants("on another host");
}

/// A region without capacity is not retried, because it has none a second later either.
#[tokio::test(start_paused = true)]
async fn a_full_region_is_tried_once() {
    let bench = Bench::new();
    bench.fly.schedule().always(Call::Fly(Action::CreateVolume), Fault::NoCapacity);
    fails_with(&bench, Failure::NoCapacity).await;
    assert_eq!(bench.fly.count(Action::CreateVolume), 2, "once in each region");
    let bench = Bench::new();
    bench.fly.schedule().always(Call::Fly(Action::CreateMachine), Fault::HostFull);
    fails_with(&bench, Failure::NoCapacity).await;
    assert_eq!(bench.fly.count(Action::CreateMachine), 4, "on two hosts of each region");
}

/// The provider retires a region, and the list still names it.
#[tokio::test(start_paused = true)]
async fn a_retired_region_is_replaced_by_the_next() {
    for action in [Action::CreateVolume, Action::CreateMachine] {
        let bench = Bench::new();
        bench.fly.schedule().next(Call::Fly(action), 1, Fault::RegionRefused);

        let town = bench.create("mill").await.unwrap();

        assert_eq!((town.status, town.region.as_ref().map(Region::as_str)), (TownStatus::Running, Some("ord")));
        bench.recover().await;
        bench.assert_invariants("second region");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_retired_regions_is_no_users_fault() {
    for action in [Action::CreateVolume, Action::CreateMachine] {
        fails_with_fault(action, Fault::RegionRefused, Failure::ProviderMisconfigured).await;
    }
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::RegionRefused);
    bench.fly.schedule().always(Call::Fly(Action::CreateVolume), Fault::NoCapacity);
    fails_with(&bench, Failure::NoCapacity).await;
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_roll_back_at_once_create_that_made_no_calls() {
    let bench = Bench::new();
    bench.fly.schedule().always(Call::Fly(Action::EnsureApp), Fault::Misconfigured);

    let error = bench.create("mill").await.unwrap_err();

    assert!(matches!(error, TownError::Failed { failure: Failure::ProviderMisconfigured, .. }), "{error:?}");
    bench.assert_nothing_left(bench.only_town());
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_do_not_prove_absence() {
    let bench = Bench::new();
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::NotSent);
    bench.fly.schedule().always(Call::Fly(Action::ReadVolume), Fault::Misconfigured);

    let error = bench.create("mill").await.unwrap_err();

    assert!(matches!(error, TownError::Failed { failure: Failure::ProviderMisconfigured, .. }), "{error:?}");
    let town = bench.only_town();
    assert!(bench.store.town(town).is_tombstone(), "its name is free");
    assert!(bench.store.rows().operations.contains_key(&town), "the rollback continues");
    bench.fly.schedule().stop_faults();
    bench.recover().await;
    bench.assert_nothing_left(town);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_starts_rolls_the_create_back() {
    fails_in_world(|world| world.never_start = true, Failure::MachineNeverStarted).await;
}

#[tokio::test(start_paused = true)]
async fn machine_that_exits_rolls_create_back() {
    fails_in_world(|world| world.crash_at_boot = true, Failure::MachineNeverStarted).await;
}

#[tokio::test(start_paused = true)]
async fn failed_machine_rolls_create_back() {
    let bench = Bench::new();
    bench.fly.world().fail_at_boot = true;
    fails_with(&bench, Failure::MachineFailed).await;
}

#[tokio::test(start_paused = true)]
async fn unhealthy_sandbox_rolls_create_back() {
    fails_in_world(|world| world.sandboxes_unhealthy = true, Failure::SandboxUnhealthy).await;
}

#[tokio::test(start_paused = true)]
async fn full_first_region_falls_back_to_second_and_leaves_no_volume() {
    let bench = Bench::new();
    bench.fly.world().full_regions.insert("iad".parse().unwrap());

    let town = bench.create("mill").await.unwrap();

    assert_eq!((town.status, town.region.as_ref().map(Region::as_str)), (TownStatus::Running, Some("ord")));
    assert_eq!(bench.fly.count(Action::CreateVolume), 2);
    bench.assert_invariants("second region");
}

#[tokio::test(start_paused = true)]
async fn lost_reply_while_old_volume_is_being_destroyed_makes_no_third_volume() {
    let bench = Bench::new();
    bench.fly.world().full_regions.insert("iad".parse().unwrap());
    bench.fly.world().volumes_are_deleted_slowly = true;
    // The first create is in the full region. The response of the second one is lost.
    bench.fly.schedule().after(Call::Fly(Action::CreateVolume), 1, Fault::ReplyLost);

    let town = bench.create("mill").await.unwrap();

    assert_eq!(town.status, TownStatus::Running);
    assert_eq!(bench.fly.count(Action::CreateVolume), 2);
    tokio::time::sleep(DELETION * 120).await;
    bench.assert_invariants("no third volume");
}

/// The first region has no capacity, and the answer from the second one is lost. Its volume is then shown without a region.
async fn create_with_hidden_region(bench: &Bench) -> Town {
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::NoCapacity);
    bench.fly.schedule().after(Call::Fly(Action::CreateVolume), 1, Fault::ReplyLost);
    bench.fly.world().regions_hidden_until = Some(Instant::now() + Duration::from_secs(100));
    let town = bench.create("mill").await.unwrap();
    assert_eq!((town.status, town.region), (TownStatus::Provisioning, None), "the wish does not count any more");
    assert_eq!(bench.fly.count(Action::CreateMachine), 0, "there is no place for it yet");
    bench.store.town(town.id)
}

#[tokio::test(start_paused = true)]
async fn volume_without_a_region_gets_its_machine_once_the_region_is_shown() {
    let bench = Bench::new();
    let town = create_with_hidden_region(&bench).await;
    bench.recover().await;
    let town = bench.store.town(town.id);
    assert_eq!((town.status, town.region.as_ref().map(Region::as_str)), (TownStatus::Running, Some("ord")));
    let regions: Vec<_> = bench.fly.world().machines.iter().map(|machine| machine.region.to_string()).collect();
    assert_eq!(regions, ["ord"]);
    bench.assert_invariants("region learned");
}

#[tokio::test(start_paused = true)]
async fn volume_without_a_region_can_be_deleted() {
    let bench = Bench::new();
    let town = create_with_hidden_region(&bench).await;
    bench.fly.world().regions_hidden_until = Some(Instant::now() + Duration::from_secs(3600));
    bench.replica().towns.destroy_town(&alice(), DestroyTown::until_gone(town.id)).await.unwrap();
    bench.recover().await;
    bench.assert_nothing_left(town.id);
}

#[tokio::test(start_paused = true)]
async fn vanished_adopted_machine_is_not_recreated() {
    let bench = Bench::new();
    bench.fly.world().vanish_at_boot = true;
    bench.fly.schedule().next(Call::Fly(Action::CreateMachine), 1, Fault::AppliedLate);

    let error = bench.create("mill").await.unwrap_err();

    assert!(matches!(error, TownError::Failed { failure: Failure::MachineFailed, .. }), "{error:?}");
    assert_eq!(bench.fly.count(Action::CreateMachine), 1);
    bench.assert_nothing_left(bench.only_town());
}

/// Only the last attempt is applied, and its reply is lost.
#[tokio::test(start_paused = true)]
async fn create_that_gives_up_deletes_volume_of_its_last_attempt() {
    let bench = Bench::new();
    let earlier = bench.settings.policy.limits.create_attempts as usize - 1;
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), earlier, Fault::NotSent);
    bench.fly.schedule().next(Call::Fly(Action::CreateVolume), 1, Fault::AppliedMuchLater);
    let _ = bench.create("mill").await;
    bench.recover().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.fly.world().volumes.len(), 1, "the volume was created late");
    bench.assert_nothing_left(bench.only_town());
}
