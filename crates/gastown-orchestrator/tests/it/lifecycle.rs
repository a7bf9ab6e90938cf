//! Each operation without disturbances: its result and the resulting state.

use std::collections::BTreeSet;

use gastown_domain::ports::{Action, Caller, DestroyTown, IdempotencyKey, TownPage, TownState, Towns as _};
use gastown_domain::{OperationKind, Power, Region, SandboxId, TownStatus};

use crate::bench::{Bench, alice, request};
use crate::faults::{Call, Fault};

#[tokio::test(start_paused = true)]
async fn created_town_runs_and_its_row_has_the_region() {
    let bench = Bench::new();

    let town = bench.create("mill").await.unwrap();

    assert_eq!((town.status, town.region.as_ref().map(Region::as_str)), (TownStatus::Running, Some("iad")));
    assert_eq!(town.sandbox_id, SandboxId::derive(alice().user(), &"mill".parse().unwrap()));
    assert_eq!(town, bench.store.town(town.id));
    assert_eq!((bench.fly.count(Action::CreateVolume), bench.fly.count(Action::CreateMachine)), (1, 1));
    bench.assert_invariants("created");
}

/// Responses of Fly are stored at once, so that nothing depends on its stale lists.
#[tokio::test(start_paused = true)]
async fn empty_lists_do_not_matter_when_replies_arrived() {
    let bench = Bench::new();
    bench.fly.schedule().always(Call::Fly(Action::ListMachines), Fault::EmptyList);
    bench.fly.schedule().always(Call::Fly(Action::ListVolumes), Fault::EmptyList);

    let town = bench.create("mill").await.unwrap();

    assert_eq!(town.status, TownStatus::Running);
    assert_eq!((bench.fly.count(Action::CreateVolume), bench.fly.count(Action::CreateMachine)), (1, 1));
    bench.assert_invariants("stale lists");
}

#[tokio::test(start_paused = true)]
async fn requested_region_comes_first_and_must_be_offered() {
    let bench = Bench::new();
    let towns = bench.replica().towns;
    let mut request = request("mill");
    request.region = Some("ord".parse().unwrap());
    assert_eq!(towns.create_town(&alice(), request.clone()).await.unwrap().town.region, request.region);

    request.name = "forge".parse().unwrap();
    request.region = Some("syd".parse().unwrap());
    let error = towns.create_town(&alice(), request).await.unwrap_err();
    assert!(matches!(error, gastown_domain::ports::TownError::RegionNotOffered), "{error:?}");
    bench.assert_invariants("regions");
}

#[tokio::test(start_paused = true)]
async fn machine_gets_its_variables_with_secrets_sealed() {
    let bench = Bench::new();
    let town = bench.running("mill").await;

    let world = bench.fly.world();
    let env = &world.machines_of(town.id)[0].env;
    let names: BTreeSet<_> = env.keys().map(String::as_str).collect();
    let six = ["KILO_API_URL", "KILO_JWT", "TOWN_ID", "R2_BUCKET", "R2_ACCESS_KEY", "INTERNAL_API_KEY"];
    assert_eq!(names, six.into_iter().chain(["R2_SECRET_KEY", "INTERNAL_API_KEY_ID"]).collect());
    assert_eq!(env["KILO_API_URL"], "https://kilo.example");
    assert_eq!(env["TOWN_ID"], town.id.to_string());
    assert_eq!(env["R2_BUCKET"], "bucket");
    assert_eq!(env["KILO_JWT"], format!("sealed(token 1 for {} of alice with pepper of alice)", town.id));
    assert_eq!(env["R2_ACCESS_KEY"], "sealed(r2-access)");
    assert_eq!(env["R2_SECRET_KEY"], "sealed(r2-secret)");
    assert_eq!(env["INTERNAL_API_KEY"], format!("sealed(key of {})", town.id));
    assert_eq!(env["INTERNAL_API_KEY_ID"], "id of the key");
    let metadata = &world.machines_of(town.id)[0].metadata;
    assert_eq!(metadata["gastown_town_id"], town.id.to_string());
    assert_eq!(metadata["gastown_sandbox_id"], town.sandbox_id.to_string());
    assert_eq!(metadata["gastown_user_id"], "alice");
}

#[tokio::test(start_paused = true)]
async fn a_stop_syncs_and_keeps_machine_and_volume() {
    let bench = Bench::new();
    let before = bench.running("mill").await;

    let town = bench.replica().towns.stop_town(&alice(), before.id).await.unwrap();

    assert_eq!(town.town.status, TownStatus::Stopped);
    assert!(town.town.last_r2_sync_at > Some(before.created_at), "dated by our clock, not the sandbox's");
    assert_eq!((&town.town.machine_id, &town.town.volume_id), (&before.machine_id, &before.volume_id));
    assert_eq!(bench.fly.world().machines_of(town.town.id)[0].power(), Power::Off);
    bench.assert_invariants("stopped");
}

#[tokio::test(start_paused = true)]
async fn start_uses_same_volume_with_fresh_token() {
    let bench = Bench::new();
    let before = bench.stopped("mill").await;

    let town = bench.replica().towns.start_town(&alice(), before.id).await.unwrap().town;

    assert_eq!(town.town.status, TownStatus::Running);
    assert_eq!((&town.town.machine_id, &town.town.volume_id), (&before.machine_id, &before.volume_id));
    let token = bench.fly.world().machines_of(town.town.id)[0].env["KILO_JWT"].clone();
    assert!(token.starts_with("sealed(token 2 for"), "{token}");
    bench.assert_invariants("started");
}

#[tokio::test(start_paused = true)]
async fn start_recreates_lost_machine_on_its_volume() {
    let bench = Bench::new();
    let before = bench.stopped("mill").await;
    {
        let mut world = bench.fly.world();
        world.machines.clear();
        world.volumes[0].held_by = None;
    }

    let town = bench.replica().towns.start_town(&alice(), before.id).await.unwrap().town;

    assert_eq!((town.town.status, &town.town.volume_id), (TownStatus::Running, &before.volume_id));
    assert_ne!(town.town.machine_id, before.machine_id);
    bench.assert_invariants("machine recreated");
}

#[tokio::test(start_paused = true)]
async fn stop_of_stopped_town_and_start_of_running_town_change_nothing() {
    let bench = Bench::new();
    let running = bench.running("mill").await;
    let stopped = bench.stopped("forge").await;
    let towns = bench.replica().towns;

    assert_eq!(towns.start_town(&alice(), running.id).await.unwrap().town, TownState::idle(running));
    assert_eq!(towns.stop_town(&alice(), stopped.id).await.unwrap(), TownState::idle(stopped));

    assert_eq!((bench.fly.count(Action::StartMachine), bench.fly.count(Action::StopMachine)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_destroy_syncs_removes_everything_and_frees_the_name() {
    let bench = Bench::new();
    let town = bench.running("mill").await;

    let gone = bench.replica().towns.destroy_town(&alice(), DestroyTown::until_gone(town.id)).await.unwrap();

    assert_eq!((gone.town.status, gone.town.machine_id, gone.town.volume_id), (TownStatus::Destroyed, None, None));
    assert_eq!(gone.town.sandbox_id, town.sandbox_id.tombstone(town.id));
    assert!(gone.town.last_r2_sync_at.is_some());
    assert_eq!(bench.fly.schedule().count(Call::Sync), 1);
    bench.assert_nothing_left(town.id);

    let again = bench.running("mill").await;
    assert_eq!(again.sandbox_id, town.sandbox_id);
    assert_ne!((again.id, &again.volume_id), (town.id, &town.volume_id));
    bench.assert_invariants("created again");
}

#[tokio::test(start_paused = true)]
async fn repeated_create_with_same_key_returns_same_town() {
    let bench = Bench::new();
    let towns = bench.replica().towns;
    let mut request = request("mill");
    request.key = Some("key-1".parse::<IdempotencyKey>().unwrap());

    let alice = alice();
    let (first, second) =
        tokio::join!(towns.create_town(&alice, request.clone()), towns.create_town(&alice, request.clone()));

    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(bench.fly.count(Action::CreateMachine), 1);
}

#[tokio::test(start_paused = true)]
async fn caller_sees_only_own_living_towns() {
    let bench = Bench::new();
    let mill = bench.running("mill").await;
    let forge = bench.running("forge").await;
    let replica = bench.replica();
    let bob = Caller::Trusted("bob".parse().unwrap());
    let theirs = replica.towns.create_town(&bob, request("mill")).await.unwrap();
    replica.towns.destroy_town(&alice(), DestroyTown::until_gone(forge.id)).await.unwrap();

    let listed = replica.towns.list_towns(&alice(), TownPage::default()).await.unwrap();
    assert_eq!(listed, [TownState::idle(mill.clone()).into()]);
    let report = replica.towns.town_status(&alice(), mill.id).await.unwrap();
    assert_eq!((report.town, report.operation), (mill, None));
    for invisible in [theirs.town.id, forge.id] {
        let error = replica.towns.town_status(&alice(), invisible).await.unwrap_err();
        assert!(matches!(error, gastown_domain::ports::TownError::NotFound), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answer_of_an_operation_that_goes_on_shows_it() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    bench.fly.schedule().always(Call::Fly(Action::StopMachine), Fault::NotNow);
    let towns = bench.replica().towns;

    let answer = towns.stop_town(&alice(), town.id).await.unwrap();

    let kind = answer.operation.map(|operation| operation.kind);
    assert_eq!((answer.town.status, kind), (TownStatus::Running, Some(OperationKind::Stop.into())));
    let listed = towns.list_towns(&alice(), TownPage::default()).await.unwrap();
    assert_eq!(
        listed[0].state.operation.as_ref().map(|operation| operation.kind.clone()),
        Some(OperationKind::Stop.into())
    );
}

#[tokio::test(start_paused = true)]
async fn destroy_answers_with_the_removal_in_flight() {
    let bench = Bench::new();
    let town = bench.running("mill").await;
    let towns = bench.replica().towns;

    let answer = towns.destroy_town(&alice(), DestroyTown::of(town.id)).await.unwrap();

    let kind = answer.operation.map(|operation| operation.kind);
    assert_eq!((answer.town.status, kind), (TownStatus::Destroyed, Some(OperationKind::Destroy.into())));
    let seen = towns.town_status(&alice(), town.id).await.unwrap();
    assert_eq!((seen.town.status, seen.operation.is_some()), (TownStatus::Destroyed, true));
    let gone = towns.destroy_town(&alice(), DestroyTown::until_gone(town.id)).await.unwrap();
    assert_eq!((gone.town.status, gone.operation), (TownStatus::Destroyed, None));
    assert!(towns.town_status(&alice(), town.id).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_also_when_a_town_is_gone() {
    let bench = Bench::new();
    let towns = bench.replica().towns;
    let mut ids = Vec::new();
    for name in ["mill", "forge", "inn", "barn"] {
        ids.push(bench.running(name).await.id);
    }
    let page = async |after: Option<usize>, limit| {
        let page = TownPage { after: after.map(|at| ids[at]), limit };
        let listed = towns.list_towns(&alice(), page).await.unwrap();
        listed.into_iter().map(|town| town.state.town.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, Some(2)).await, ids[..2]);
    assert_eq!(page(Some(1), Some(2)).await, ids[2..]);
    assert_eq!(page(Some(3), Some(2)).await, []);
    assert_eq!(page(None, None).await, ids);
    towns.destroy_town(&alice(), DestroyTown::until_gone(ids[1])).await.unwrap();
    assert_eq!(page(Some(1), None).await, ids[2..]);
}

#[tokio::test(start_paused = true)]
async fn regions_are_those_of_the_settings() {
    let bench = Bench::new();
    let regions = bench.replica().towns.regions(&alice()).await.unwrap();
    assert_eq!(regions, bench.settings.regions);
}
