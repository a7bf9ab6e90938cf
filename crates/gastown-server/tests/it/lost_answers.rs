//! Lost answers: whatever Fly did, there is one machine and one volume.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use gastown_sandbox_sim::SANDBOX_HEALTH;
use serde_json::{Value, json};

use crate::stage::{ALICE, Setup, Stage};

on_both! {
    lost_answer_creates_nothing_twice,
    lost_answer_stops_and_starts_nothing_twice,
    lost_answer_leaves_nothing_of_a_destroyed_town,
    lagging_lists_hide_nothing,
    resource_that_appears_late_is_created_once,
}

/// Returns every kind of loss, of an answer or of the call.
fn losses() -> [Effect; 4] {
    let applied = Effect::ApplyThenAnswer { status: 502, body: Value::Null };
    [Effect::DropAnswer, applied, Effect::DropRequest, Effect::server_error()]
}

/// Returns all losses at calls that change something, and two of them at reads.
fn cases(acting: [Call; 2], looking: &[Call]) -> Vec<(Call, Effect)> {
    let acting = acting.into_iter().flat_map(|call| losses().map(|effect| (call, effect)));
    let looking =
        looking.iter().flat_map(|call| [Effect::DropAnswer, Effect::server_error()].map(|effect| (*call, effect)));
    acting.chain(looking).collect()
}

async fn lost_answer_creates_nothing_twice(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let mut made = 0;
    let looking = [Call::GetMachine, Call::Wait, SANDBOX_HEALTH];
    for (call, effect) in cases([Call::CreateVolume, Call::CreateMachine], &looking) {
        let case = format!("{call:?} {effect:?}");
        stage.sim.inject(Fault::at(call, effect));
        stage.running(&format!("mill-{made}")).await;
        made += 1;
        assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (made, made), "{case}");
        stage.sim.clear_faults();
    }
    // Both at once, and repeatedly.
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::DropAnswer).times(2));
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::DropAnswer).times(2));
    stage.running("both").await;
    assert_eq!((stage.sim.machines().len(), stage.sim.volumes().len()), (made + 1, made + 1));
    stage
}

async fn lost_answer_stops_and_starts_nothing_twice(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    for effect in losses() {
        for (procedure, call) in [
            ("stopTown", Call::StopMachine),
            ("startTown", Call::UpdateMachine),
            ("stopTown", Call::Wait),
            ("startTown", Call::StartMachine),
        ] {
            stage.sim.inject(Fault::at(call, effect.clone()));
            let answer = stage.on_town(procedure, town.id).await.unwrap();
            let want = if procedure == "stopTown" { "stopped" } else { "running" };
            assert_eq!(answer["status"], want, "{procedure} {call:?} {effect:?}");
            stage.sim.clear_faults();
        }
    }
    assert_eq!((stage.sim.all_machines().len(), stage.sim.all_volumes().len()), (1, 1));
    stage
}

async fn lost_answer_leaves_nothing_of_a_destroyed_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for (call, effect) in cases([Call::DeleteMachine, Call::DeleteVolume], &[Call::GetMachine, Call::Wait]) {
        let case = format!("{call:?} {effect:?}");
        let town = stage.running("mill").await;
        stage.sim.inject(Fault::at(call, effect));
        let answer = stage.on_town("destroyTown", town.id).await.unwrap();
        assert_eq!(answer["status"], "destroyed", "{case}");
        assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]), "{case}");
        stage.sim.clear_faults();
    }
    stage
}

async fn lagging_lists_hide_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for call in [Call::ListVolumes, Call::ListMachines] {
        stage.sim.inject(Fault::at(call, Effect::StaleList).times(2));
    }
    stage.sim.inject(Fault::at(Call::CreateVolume, Effect::DropAnswer));
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::DropAnswer));
    let made = stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap();
    assert_eq!(made["status"], "running");
    assert_eq!((stage.sim.machines().len(), stage.sim.volumes().len()), (1, 1));
    stage
}

async fn resource_that_appears_late_is_created_once(mut setup: Setup) -> Stage {
    // The agreeing reads take longer than Fly hides a new resource.
    setup.policy.backoff.poll_interval = Duration::from_millis(150);
    let stage = setup.start().await;
    let calls = [Call::CreateVolume, Call::CreateMachine];
    for (made, hidden) in [&calls[..1], &calls[1..], &calls].into_iter().enumerate() {
        for call in hidden {
            stage.sim.inject(Fault::at(*call, Effect::invisible_for(Duration::from_millis(300))));
        }
        stage.running(&format!("mill-{made}")).await;
        // Every resource ever created, so that a deleted duplicate is found too.
        let there = (stage.sim.all_machines().len(), stage.sim.all_volumes().len());
        assert_eq!(there, (made + 1, made + 1), "{hidden:?}");
    }
    stage
}
