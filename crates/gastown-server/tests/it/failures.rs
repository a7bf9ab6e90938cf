//! Creates that cannot succeed: the answer has the reason, the row is a tombstone, and nothing is left at Fly.

use std::time::Duration;

use fly_sim::{Call, Death, Effect, Fault, RateLimits};
use gastown_fly::{RateLimiting, Rates};
use gastown_secrets::SandboxKey;
use serde_json::json;

use crate::stage::{ALICE, Setup, Stage};

on_both! {
    refused_volume_is_reported_and_leaves_nothing,
    refused_machine_is_reported_and_leaves_nothing,
    machine_that_never_starts_is_reported_and_leaves_nothing,
    machine_that_dies_at_once_is_reported_and_leaves_nothing,
    sandbox_with_the_wrong_key_never_runs,
    outage_of_fly_is_reported_and_leaves_nothing,
    roll_back_continues_after_refused_deletions,
    throttled_calls_only_delay,
    towns_start_within_flys_limits,
    name_of_a_failed_town_is_free,
}

/// Creates `mill`, which must fail like this, and checks that nothing is left.
async fn fails(stage: &Stage, code: &str, failure: &str, text: &str) {
    let refused = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["failure"]), (code, &json!(failure)), "{refused:?}");
    assert_eq!(refused.message, format!("The town could not be created: {text}"));
    stage.idle().await;
    let row = stage.rows.towns().await.pop().unwrap();
    assert!(row.destroyed_at.is_some() && row.status == "destroyed", "{row:?}");
    assert_eq!((row.fly_machine_id, row.fly_volume_id), (None, None));
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    assert_eq!(stage.call(ALICE, "listTowns", json!(null)).await.unwrap(), json!([]));
}

async fn refused_volume_is_reported_and_leaves_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let no = Effect::refusal(422, "canary: invalid volume");
    stage.sim.inject(Fault::at(Call::CreateVolume, no).always());
    fails(&stage, "BAD_GATEWAY", "volume_refused", "the provider refused to create the volume").await;
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (0, 0));
    stage
}

async fn refused_machine_is_reported_and_leaves_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let no = Effect::refusal(422, "canary: invalid machine");
    stage.sim.inject(Fault::at(Call::CreateMachine, no).always());
    fails(&stage, "BAD_GATEWAY", "machine_refused", "the provider refused to create or update the machine").await;
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (0, 1));
    stage
}

async fn machine_that_never_starts_is_reported_and_leaves_nothing(mut setup: Setup) -> Stage {
    setup.policy.timeouts.create = Duration::from_secs(3);
    setup.policy.timeouts.await_state = Duration::from_millis(100);
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::never_starts()));
    fails(&stage, "GATEWAY_TIMEOUT", "machine_never_started", "the machine did not start in time").await;
    stage
}

async fn machine_that_dies_at_once_is_reported_and_leaves_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for death in [Death::Destroyed, Death::LaunchFailed] {
        stage.sim.inject(Fault::at(Call::CreateMachine, Effect::KillMachine { death }));
        fails(&stage, "BAD_GATEWAY", "machine_failed", "the machine started and failed").await;
    }
    stage
}

async fn sandbox_with_the_wrong_key_never_runs(mut setup: Setup) -> Stage {
    setup.policy.timeouts.create = Duration::from_secs(3);
    setup.policy.timeouts.await_state = Duration::from_millis(100);
    setup.seal_for = Some(SandboxKey::generate());
    let stage = setup.start().await;
    let refused = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap_err();
    assert!(["BAD_GATEWAY", "GATEWAY_TIMEOUT"].contains(&refused.code.as_str()), "{refused:?}");
    assert!(stage.sim.all_machines().iter().all(|machine| !machine.serving));
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    assert!(stage.rows.towns().await[0].destroyed_at.is_some());
    stage
}

async fn outage_of_fly_is_reported_and_leaves_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::server_error()).always());
    fails(&stage, "SERVICE_UNAVAILABLE", "provider_unavailable", "the provider is unavailable; try again later").await;
    stage
}

async fn roll_back_continues_after_refused_deletions(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::refusal(422, "invalid machine")).always());
    stage.sim.inject(Fault::at(Call::DeleteVolume, Effect::server_error()).times(4));
    fails(&stage, "BAD_GATEWAY", "machine_refused", "the provider refused to create or update the machine").await;
    stage
}

async fn throttled_calls_only_delay(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for call in [Call::CreateVolume, Call::CreateMachine, Call::GetMachine, Call::Wait, Call::ListMachines] {
        stage.sim.inject(Fault::at(call, Effect::throttled()).times(8));
    }
    stage.running("mill").await;
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}

async fn towns_start_within_flys_limits(mut setup: Setup) -> Stage {
    setup.sim.rates = RateLimits::Fly;
    setup.pacing = RateLimiting::On(Rates::default());
    let stage = setup.start().await;
    let creates = ["a", "b"].map(|name| stage.spawn_call(ALICE, "createTown", json!({ "townName": name })));
    for create in creates {
        assert_eq!(create.await.unwrap().unwrap()["status"], "running");
    }
    // The rate limiter of the client spaces the calls. A rare refusal is due to clock skew.
    let calls = stage.sim.calls();
    let limited = calls.iter().filter(|record| record.status == Some(429)).count();
    assert!(limited * 5 <= calls.len(), "{limited} of {} calls", calls.len());
    stage
}

async fn name_of_a_failed_town_is_free(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::refusal(422, "invalid volume")));
    fails(&stage, "BAD_GATEWAY", "volume_refused", "the provider refused to create the volume").await;
    stage.running("mill").await;
    stage
}
