//! A replica crashes during an operation: another one completes it or rolls it back.

use fly_sim::{Call, Effect, Fault};
use gastown_sandbox_sim::{SANDBOX_ADD_RIG, SANDBOX_HEALTH, SANDBOX_SYNC};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::Refusal;
use crate::stage::{ALICE, Setup, Stage, until};

/// A call that waits for its answer.
type Pending = JoinHandle<Result<Value, Refusal>>;

on_both! {
    create_is_completed_after_a_crash_at_any_step,
    resource_created_after_a_crash_is_adopted,
    hopeless_create_is_rolled_back_after_a_crash,
    roll_back_is_completed_after_a_crash,
    stop_start_and_destroy_are_completed_after_a_crash,
    valid_lease_prevents_a_takeover,
}

/// Returns the calls of a create's steps, each with a fault that blocks it.
fn blocking_faults() -> [(Call, Effect); 5] {
    [
        (Call::CreateVolume, Effect::throttled()),
        (Call::CreateVolume, Effect::DropAnswer),
        (Call::CreateMachine, Effect::throttled()),
        (Call::Wait, Effect::throttled()),
        (SANDBOX_HEALTH, Effect::server_error()),
    ]
}

/// Starts alice's call, and waits until the fault has blocked it.
async fn blocked_at(stage: &Stage, call: Call, procedure: &'static str, input: Value) -> Pending {
    let before = stage.sim.calls().len();
    let held = stage.spawn_call(ALICE, procedure, input);
    until("the call is made", async || {
        stage.sim.calls().iter().skip(before).any(|record| record.call == call && record.faulted)
    })
    .await;
    held
}

/// Crashes the replica, clears the fault, and starts another replica.
async fn replace_replica(stage: &mut Stage) {
    stage.crash().await;
    stage.sim.clear_faults();
    stage.succeed().await;
}

async fn create_is_completed_after_a_crash_at_any_step(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    for (at, (call, effect)) in blocking_faults().into_iter().enumerate() {
        let case = format!("{call:?} {effect:?}");
        stage.sim.inject(Fault::at(call, effect).always());
        let create = blocked_at(&stage, call, "createTown", json!({ "townName": format!("mill-{at}") })).await;
        replace_replica(&mut stage).await;
        assert!(create.await.is_err(), "{case}: the caller was answered by a dead replica");
        stage.idle().await;
        let town = stage.rows.towns().await.pop().unwrap();
        assert_eq!(town.status, "running", "{case}");
        assert_eq!((stage.sim.machines().len(), stage.sim.volumes().len()), (at + 1, at + 1), "{case}");
    }
    stage
}

async fn resource_created_after_a_crash_is_adopted(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    for (at, call) in [Call::CreateVolume, Call::CreateMachine].into_iter().enumerate() {
        // Fly executes the call after the crash of its caller.
        stage.sim.inject(Fault::at(call, Effect::Delay { millis: 1500 }));
        let create = blocked_at(&stage, call, "createTown", json!({ "townName": format!("mill-{at}") })).await;
        stage.crash().await;
        let made = || if call == Call::CreateVolume { stage.sim.volumes().len() } else { stage.sim.machines().len() };
        until("the call is executed", async || made() == at + 1).await;
        stage.succeed().await;
        assert!(create.await.is_err());
        stage.idle().await;
        assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (at + 1, at + 1), "{call:?}");
    }
    stage
}

async fn hopeless_create_is_rolled_back_after_a_crash(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let create = blocked_at(&stage, Call::CreateMachine, "createTown", json!({ "townName": "mill" })).await;
    stage.crash().await;
    stage.sim.clear_faults();
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::refusal(422, "invalid machine")).always());
    stage.succeed().await;
    assert!(create.await.is_err());
    stage.idle().await;
    let ended = stage.rows.events().await.pop().unwrap();
    assert_eq!((ended.outcome.as_str(), ended.error.as_deref()), ("rolled_back", Some("machine_refused")), "{ended:?}");
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn roll_back_is_completed_after_a_crash(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::refusal(422, "invalid machine")).always());
    stage.sim.inject(Fault::at(Call::DeleteVolume, Effect::server_error()).always());
    let create = blocked_at(&stage, Call::DeleteVolume, "createTown", json!({ "townName": "mill" })).await;
    replace_replica(&mut stage).await;
    assert!(create.await.is_err());
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    assert!(stage.rows.towns().await[0].destroyed_at.is_some());
    stage
}

async fn stop_start_and_destroy_are_completed_after_a_crash(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    let town = stage.running("mill").await;
    for (procedure, call, want) in [
        ("stopTown", Call::StopMachine, "stopped"),
        ("startTown", Call::UpdateMachine, "running"),
        ("stopTown", SANDBOX_SYNC, "stopped"),
        ("startTown", Call::StartMachine, "running"),
        ("destroyTown", Call::DeleteVolume, "destroyed"),
    ] {
        // A sync is not repeated. It hangs until the crash.
        let effect = if call == SANDBOX_SYNC { Effect::Delay { millis: 60_000 } } else { Effect::throttled() };
        stage.sim.inject(Fault::at(call, effect).always());
        let mut input = json!({ "townId": town.id });
        if procedure == "destroyTown" {
            input["waitUntilGone"] = json!(true);
        }
        let caller = blocked_at(&stage, call, procedure, input).await;
        replace_replica(&mut stage).await;
        assert!(caller.await.is_err(), "{procedure}");
        stage.idle().await;
        assert_eq!(stage.rows.town(town.id).await.status, want, "{procedure} at {call:?}");
    }
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}

async fn valid_lease_prevents_a_takeover(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::throttled()).always());
    let create = blocked_at(&stage, Call::CreateVolume, "createTown", json!({ "townName": "mill" })).await;
    stage.crash().await;
    stage.sim.clear_faults();
    assert!(create.await.is_err());
    stage.add_replica().await;
    let claimed = stage.rows.operations().await;
    let status = stage.on_town("getTownStatus", claimed[0].town_id).await.unwrap();
    assert_eq!((&status["status"], &status["operation"]["kind"]), (&json!("provisioning"), &json!("create")));
    // A completed sweep: it reconciles a rig of another town.
    let inn = stage.running("inn").await;
    stage.sim.inject(Fault::at(SANDBOX_ADD_RIG, Effect::DropRequest));
    stage.add_rig(inn.id, "app", "https://github.com/acme/app").await.unwrap();
    until("a sweep has completed", async || stage.rows.rigs().await[0].status == "active").await;
    assert_eq!(stage.rows.operations().await, claimed);
    // The town is busy until the lease has expired.
    let refused = stage.on_town("stopTown", claimed[0].town_id).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["operation"]), ("CONFLICT", &Value::from("create")));
    stage.rows.expire_leases_of(claimed[0].owner.as_ref().unwrap()).await;
    stage.idle().await;
    assert_eq!(stage.rows.town(claimed[0].town_id).await.status, "running");
    stage
}
