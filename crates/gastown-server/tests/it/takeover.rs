//! A replica crashes in the middle: what it had begun is finished, or undone, by the next.

use fly_sim::{Call, Effect, Fault};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::Refusal;
use crate::stage::{ALICE, Setup, Stage, until};

/// A call that waits for its answer.
type Held = JoinHandle<Result<Value, Refusal>>;

on_both! {
    a_create_is_finished_wherever_its_driver_crashed,
    what_a_crash_left_on_its_way_is_adopted,
    a_create_that_cannot_succeed_is_undone_by_the_next,
    a_roll_back_is_finished_by_the_next,
    stops_starts_and_destroys_are_finished_by_the_next,
    nobody_else_drives_while_a_lease_holds,
}

/// Calls at the steps of a create, and a fault that holds it there.
fn holds() -> [(Call, Effect); 5] {
    [
        (Call::CreateVolume, Effect::throttled()),
        (Call::CreateVolume, Effect::DropAnswer),
        (Call::CreateMachine, Effect::throttled()),
        (Call::GetMachine, Effect::throttled()),
        (Call::SandboxHealth, Effect::server_error()),
    ]
}

/// Alice's call, at the moment when one to Fly or the sandbox has been made for it and hit by its fault.
async fn held_at(stage: &Stage, call: Call, procedure: &'static str, input: Value) -> Held {
    let before = stage.sim.calls().len();
    let held = stage.spawn_call(ALICE, procedure, input);
    until("the call is made", async || {
        stage.sim.calls().iter().skip(before).any(|record| record.call == call && record.faulted)
    })
    .await;
    held
}

/// The replica crashes, the fault is over, and another one comes up.
async fn succeeded(stage: &mut Stage) {
    stage.crash().await;
    stage.sim.clear_faults();
    stage.succeed().await;
}

async fn a_create_is_finished_wherever_its_driver_crashed(setup: Setup) -> Stage {
    let mut stage = setup.raise().await;
    for (at, (call, effect)) in holds().into_iter().enumerate() {
        let case = format!("{call:?} {effect:?}");
        stage.sim.inject(Fault::at(call, effect).always());
        let create = held_at(&stage, call, "createTown", json!({ "townName": format!("mill-{at}") })).await;
        succeeded(&mut stage).await;
        assert!(create.await.is_err(), "{case}: the caller was answered by a dead replica");
        stage.idle().await;
        let town = stage.rows.towns().await.pop().unwrap();
        assert_eq!(town.status, "running", "{case}");
        assert_eq!((stage.sim.machines().len(), stage.sim.volumes().len()), (at + 1, at + 1), "{case}");
    }
    stage
}

async fn what_a_crash_left_on_its_way_is_adopted(setup: Setup) -> Stage {
    let mut stage = setup.raise().await;
    for (at, call) in [Call::CreateVolume, Call::CreateMachine].into_iter().enumerate() {
        // Fly carries it out though the caller is dead by then: it takes longer than a crash.
        stage.sim.inject(Fault::at(call, Effect::Delay { millis: 1500 }));
        let create = held_at(&stage, call, "createTown", json!({ "townName": format!("mill-{at}") })).await;
        stage.crash().await;
        let made = || if call == Call::CreateVolume { stage.sim.volumes().len() } else { stage.sim.machines().len() };
        until("it is carried out", async || made() == at + 1).await;
        stage.succeed().await;
        assert!(create.await.is_err());
        stage.idle().await;
        assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (at + 1, at + 1), "{call:?}");
    }
    stage
}

async fn a_create_that_cannot_succeed_is_undone_by_the_next(setup: Setup) -> Stage {
    let mut stage = setup.raise().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let create = held_at(&stage, Call::CreateMachine, "createTown", json!({ "townName": "mill" })).await;
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

async fn a_roll_back_is_finished_by_the_next(setup: Setup) -> Stage {
    let mut stage = setup.raise().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::refusal(422, "invalid machine")).always());
    stage.sim.inject(Fault::at(Call::DeleteVolume, Effect::server_error()).always());
    let create = held_at(&stage, Call::DeleteVolume, "createTown", json!({ "townName": "mill" })).await;
    succeeded(&mut stage).await;
    assert!(create.await.is_err());
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    assert!(stage.rows.towns().await[0].destroyed_at.is_some());
    stage
}

async fn stops_starts_and_destroys_are_finished_by_the_next(setup: Setup) -> Stage {
    let mut stage = setup.raise().await;
    let town = stage.running("mill").await;
    for (procedure, call, want) in [
        ("stopTown", Call::StopMachine, "stopped"),
        ("startTown", Call::UpdateMachine, "running"),
        ("stopTown", Call::SandboxSync, "stopped"),
        ("startTown", Call::StartMachine, "running"),
        ("destroyTown", Call::DeleteVolume, "destroyed"),
    ] {
        // A sync is not repeated: it hangs until the crash.
        let effect = if call == Call::SandboxSync { Effect::Delay { millis: 60_000 } } else { Effect::throttled() };
        stage.sim.inject(Fault::at(call, effect).always());
        let caller = held_at(&stage, call, procedure, json!({ "townId": town.id })).await;
        succeeded(&mut stage).await;
        assert!(caller.await.is_err(), "{procedure}");
        stage.idle().await;
        assert_eq!(stage.rows.town(town.id).await.status, want, "{procedure} at {call:?}");
    }
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}

async fn nobody_else_drives_while_a_lease_holds(setup: Setup) -> Stage {
    let mut stage = setup.raise().await;
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::throttled()).always());
    let create = held_at(&stage, Call::CreateVolume, "createTown", json!({ "townName": "mill" })).await;
    stage.crash().await;
    stage.sim.clear_faults();
    assert!(create.await.is_err());
    stage.add_replica().await;
    let claimed = stage.rows.operations().await;
    let status = stage.on_town("getTownStatus", claimed[0].town_id).await.unwrap();
    assert_eq!((&status["status"], &status["operation"]["kind"]), (&json!("provisioning"), &json!("create")));
    // A sweep goes by: it settles a rig of another town.
    let inn = stage.running("inn").await;
    stage.sim.inject(Fault::at(Call::SandboxAddRig, Effect::DropRequest));
    stage.add_rig(inn.id, "app", "https://github.com/acme/app").await.unwrap();
    until("a sweep has been", async || stage.rows.rigs().await[0].status == "active").await;
    assert_eq!(stage.rows.operations().await, claimed);
    // To its user the town is busy, until the lease has run out.
    let refused = stage.on_town("stopTown", claimed[0].town_id).await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["operation"]), ("CONFLICT", &Value::from("create")));
    stage.rows.expire_leases_of(claimed[0].owner.as_ref().unwrap()).await;
    stage.idle().await;
    assert_eq!(stage.rows.town(claimed[0].town_id).await.status, "running");
    stage
}
