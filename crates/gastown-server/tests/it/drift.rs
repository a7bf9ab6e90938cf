//! Fly is not as the row says, or will not say: nothing is concluded from what proves nothing.

use std::time::Duration;

use fly_sim::{Effect, Fault, State};
use serde_json::json;

use crate::stage::{DATA, Setup, Stage, until};

on_both! {
    no_answer_about_the_app_is_a_proof_that_machines_are_gone,
    a_host_that_is_down_keeps_its_machine_on_the_books,
    a_volume_that_fly_moved_is_found_again,
    a_machine_that_somebody_stopped_can_be_stopped_and_started,
    a_town_whose_things_are_gone_can_be_destroyed,
}

/// The destroy has been tried in vain.
async fn tried_in_vain(stage: &Stage) {
    until("it is tried in vain", async || {
        stage.rows.operations().await.iter().any(|operation| operation.last_error.is_some())
    })
    .await;
}

async fn no_answer_about_the_app_is_a_proof_that_machines_are_gone(mut setup: Setup) -> Stage {
    setup.policy.timeouts.caller = Duration::from_millis(200);
    let stage = setup.raise().await;
    for (status, text) in [(404, "app not found"), (401, "unauthorized"), (403, "forbidden"), (404, "page not found")] {
        let town = stage.created("mill").await;
        stage.sim.inject(Fault::at_any(Effect::refusal(status, text)).always());
        stage.on_town("destroyTown", town.id).await.unwrap();
        tried_in_vain(&stage).await;
        // Long enough for every look that would agree with the first.
        until("the town is hidden", async || stage.rows.town(town.id).await.destroyed_at.is_some()).await;
        let seen = stage.sim.calls().len();
        until("it is tried again and again", async || stage.sim.calls().len() > seen + 10).await;
        let row = stage.rows.town(town.id).await;
        assert_eq!(
            (row.fly_machine_id, row.fly_volume_id),
            (town.fly_machine_id, town.fly_volume_id),
            "{status} {text}"
        );
        stage.sim.clear_faults();
        stage.idle().await;
        assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]), "{status} {text}");
        stage.replicas[0].log.take_only("Fly refuses our token, organization or app");
    }
    stage
}

async fn a_host_that_is_down_keeps_its_machine_on_the_books(mut setup: Setup) -> Stage {
    setup.policy.timeouts.caller = Duration::from_millis(200);
    let stage = setup.raise().await;
    let town = stage.created("mill").await;
    assert!(stage.sim.set_host_down(town.machine(), true));
    stage.on_town("destroyTown", town.id).await.unwrap();
    tried_in_vain(&stage).await;
    assert_eq!(stage.rows.town(town.id).await.fly_machine_id, town.fly_machine_id);
    stage.sim.set_host_down(town.machine(), false);
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn a_volume_that_fly_moved_is_found_again(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let town = stage.running("mill").await;
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    stage.on_town("stopTown", town.id).await.unwrap();
    let moved = stage.sim.migrate_volume(town.volume()).unwrap();
    assert_eq!(stage.on_town("startTown", town.id).await.unwrap()["status"], "running");
    let row = stage.rows.town(town.id).await;
    assert_eq!((row.volume(), row.machine()), (moved.as_str(), town.machine()));
    assert_eq!(stage.exec(row.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
    stage
}

async fn a_machine_that_somebody_stopped_can_be_stopped_and_started(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    let town = stage.running("mill").await;
    for (procedure, want) in [("stopTown", "stopped"), ("startTown", "running")] {
        stage.on_town("startTown", town.id).await.unwrap();
        assert!(stage.sim.kill_machine(town.machine(), fly_sim::Death::Stopped));
        until("it is off", async || stage.sim.machines()[0].state == State::Stopped).await;
        assert_eq!(stage.on_town(procedure, town.id).await.unwrap()["status"], want);
    }
    stage
}

async fn a_town_whose_things_are_gone_can_be_destroyed(setup: Setup) -> Stage {
    let stage = setup.raise().await;
    for death in [fly_sim::Death::Destroyed, fly_sim::Death::Forgotten] {
        let town = stage.running("mill").await;
        assert!(stage.sim.kill_machine(town.machine(), death));
        assert!(stage.sim.lose_volume(town.volume()));
        let answer = stage.on_town("destroyTown", town.id).await.unwrap();
        assert_eq!(answer, json!({"townId": town.id, "status": "destroyed"}), "{death:?}");
    }
    stage
}
