//! No capacity, in each of Fly's forms: the next region is tried. Without one, the create is rolled back and reported.

use std::time::Duration;

use fly_sim::{Call, Capacity, Fault, Policy};
use serde_json::json;

use crate::stage::{ALICE, Setup, Stage, until};

/// Every form of the refusal, at each call that can return it.
const REFUSALS: [(Capacity, Call); 8] = [
    (Capacity::Region, Call::CreateVolume),
    (Capacity::Region, Call::CreateMachine),
    (Capacity::VolumeHost, Call::CreateMachine),
    (Capacity::Host, Call::CreateMachine),
    (Capacity::VolumeAborted, Call::CreateVolume),
    (Capacity::VolumePlain, Call::CreateVolume),
    (Capacity::Quota, Call::CreateVolume),
    (Capacity::Quota, Call::CreateMachine),
];

on_both! {
    full_region_is_reported_and_leaves_nothing,
    full_region_is_replaced_by_the_next,
    retired_region_is_replaced_by_the_next_and_named_in_the_log,
    retired_region_without_another_is_no_users_fault,
    stopped_organization_and_missing_image_are_no_users_fault,
    full_host_keeps_a_stopped_town_unchanged,
    briefly_full_host_delays_a_start,
}

async fn full_region_is_reported_and_leaves_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for (refusal, call) in REFUSALS {
        stage.sim.inject(Fault::at(call, refusal.effect()).always());
        let refused = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.status), ("SERVICE_UNAVAILABLE", 503), "{refusal:?} {call:?}");
        assert_eq!(
            refused.message,
            "The town could not be created: no region has capacity for the machine; try again later or choose \
             another region",
        );
        stage.idle().await;
        assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]), "{refusal:?} {call:?}");
        stage.sim.clear_faults();
    }
    let towns = stage.rows.towns().await;
    assert_eq!(towns.len(), REFUSALS.len());
    assert!(towns.iter().all(|town| town.destroyed_at.is_some() && town.fly_volume_id.is_none()));
    stage
}

async fn full_region_is_replaced_by_the_next(setup: Setup) -> Stage {
    let stage = Setup { regions: "iad,fra,lhr", ..setup }.start().await;
    for (at, (refusal, call)) in REFUSALS.into_iter().enumerate() {
        stage.sim.inject(Fault::at(call, refusal.effect()).in_region("iad").always());
        let town = stage.running(&format!("mill-{at}")).await;
        assert_eq!(town.fly_region.as_deref(), Some("fra"), "{refusal:?} {call:?}");
        stage.sim.clear_faults();
    }
    let regions: Vec<_> = stage.sim.volumes().into_iter().map(|volume| volume.region).collect();
    assert_eq!(regions, vec!["fra"; REFUSALS.len()]);
    assert!(stage.sim.machines().iter().all(|machine| machine.region == "fra"));
    stage
}

async fn retired_region_is_replaced_by_the_next_and_named_in_the_log(setup: Setup) -> Stage {
    let stage = Setup { regions: "iad,fra", ..setup }.start().await;
    let calls = [Call::CreateVolume, Call::CreateMachine];
    let statuses = Policy::RegionRetired.statuses();
    for (at, (call, status)) in
        calls.into_iter().flat_map(|call| statuses.iter().map(move |of| (call, *of))).enumerate()
    {
        stage.sim.inject(Fault::at(call, Policy::RegionRetired.effect(status)).in_region("iad").always());
        let town = stage.running(&format!("mill-{at}")).await;
        assert_eq!(town.fly_region.as_deref(), Some("fra"), "{call:?} {status}");
        stage.sim.clear_faults();
        let log = stage.replicas[0].log.text();
        assert!(log.contains("Region iad is deprecated"), "Fly's words are in the log: {log}");
        assert!(log.contains("region=iad") || log.contains("region: iad"), "the region is in the log: {log}");
        stage.replicas[0].log.take_only("provider refuses region; check the list of regions");
    }
    assert!(stage.sim.volumes().iter().all(|volume| volume.region == "fra"));
    stage
}

async fn retired_region_without_another_is_no_users_fault(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for status in Policy::RegionRetired.statuses() {
        stage.sim.inject(Fault::at(Call::CreateVolume, Policy::RegionRetired.effect(*status)).always());
        refused_for_operators(&stage).await;
        stage.replicas[0].log.take_only("provider refuses region; check the list of regions");
    }
    stage
}

async fn stopped_organization_and_missing_image_are_no_users_fault(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for (policy, call) in [
        (Policy::PaymentMissing, Call::CreateVolume),
        (Policy::PaymentMissing, Call::CreateMachine),
        (Policy::ImageMissing, Call::CreateMachine),
        (Policy::ImageForbidden, Call::CreateMachine),
    ] {
        for status in policy.statuses() {
            stage.sim.inject(Fault::at(call, policy.effect(*status)).always());
            refused_for_operators(&stage).await;
            let errors = stage.replicas[0].log.take_errors();
            let [error] = errors.as_slice() else { panic!("not one error: {errors:?}") };
            assert!(
                error.contains("provider refuses the service until an operator acts"),
                "{policy:?} {status} {error}"
            );
        }
    }
    stage
}

/// Creates a town that Fly refuses because of the service's own account, and checks that nothing is left of it.
async fn refused_for_operators(stage: &Stage) {
    let refused = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["failure"]), ("BAD_GATEWAY", &json!("provider_misconfigured")));
    stage.sim.clear_faults();
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
}

async fn full_host_keeps_a_stopped_town_unchanged(mut setup: Setup) -> Stage {
    // An operation reads its row again after each pause.
    setup.policy.backoff.park_after = Duration::ZERO;
    let stage = Setup { regions: "iad,fra", ..setup }.start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    for call in [Call::StartMachine, Call::UpdateMachine] {
        stage.sim.inject(Fault::at(call, Capacity::Host.effect()).always());
        let start = stage.spawn_call(ALICE, "startTown", json!({ "townId": town.id }));
        until("it is tried in vain", async || {
            stage.rows.operations().await.iter().any(|op| op.last_error.as_deref() == Some("no_capacity"))
        })
        .await;
        until("it is given up", async || {
            stage.rows.expire_deadlines().await;
            start.is_finished()
        })
        .await;
        let refused = start.await.unwrap().unwrap_err();
        assert_eq!((refused.code.as_str(), &refused.data["failure"]), ("SERVICE_UNAVAILABLE", &json!("no_capacity")));
        let row = stage.rows.town(town.id).await;
        assert_eq!((row.status.as_str(), row.volume()), ("stopped", town.volume()));
        stage.sim.clear_faults();
    }
    stage
}

async fn briefly_full_host_delays_a_start(setup: Setup) -> Stage {
    let stage = Setup { regions: "iad,fra", ..setup }.start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.sim.inject(Fault::at(Call::StartMachine, Capacity::Host.effect()));
    assert_eq!(stage.on_town("startTown", town.id).await.unwrap()["status"], "running");
    stage
}
