//! Fly differs from the row, or does not answer: nothing is concluded without a proof.

use std::time::Duration;

use fly_sim::{Effect, Fault, State};
use serde_json::json;

use crate::stage::{DATA, Setup, Stage, until};

on_both! {
    answer_about_the_app_does_not_prove_absence,
    machine_of_a_failed_host_stays_recorded,
    moved_volume_is_found,
    externally_stopped_machine_can_be_stopped_and_started,
    town_without_resources_can_be_destroyed,
}

/// Waits until an attempt of the destroy has failed.
async fn attempt_failed(stage: &Stage) {
    until("an attempt has failed", async || {
        stage.rows.operations().await.iter().any(|operation| operation.last_error.is_some())
    })
    .await;
}

async fn answer_about_the_app_does_not_prove_absence(mut setup: Setup) -> Stage {
    setup.policy.timeouts.caller = Duration::from_millis(200);
    let stage = setup.start().await;
    for (status, text) in [(404, "app not found"), (401, "unauthorized"), (403, "forbidden"), (404, "page not found")] {
        let town = stage.created("mill").await;
        stage.sim.inject(Fault::at_any(Effect::refusal(status, text)).always());
        stage.on_town("destroyTown", town.id).await.unwrap();
        attempt_failed(&stage).await;
        // Long enough for every read that could agree with the first.
        until("the town is soft-deleted", async || stage.rows.town(town.id).await.destroyed_at.is_some()).await;
        let seen = stage.sim.calls().len();
        until("it is retried several times", async || stage.sim.calls().len() > seen + 10).await;
        let row = stage.rows.town(town.id).await;
        assert_eq!(
            (row.fly_machine_id, row.fly_volume_id),
            (town.fly_machine_id, town.fly_volume_id),
            "{status} {text}"
        );
        stage.sim.clear_faults();
        stage.idle().await;
        assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]), "{status} {text}");
        stage.replicas[0].log.take_only("provider refuses the service until an operator acts");
    }
    stage
}

async fn machine_of_a_failed_host_stays_recorded(mut setup: Setup) -> Stage {
    setup.policy.timeouts.caller = Duration::from_millis(200);
    let stage = setup.start().await;
    let town = stage.created("mill").await;
    assert!(stage.sim.set_host_down(town.machine(), true));
    stage.on_town("destroyTown", town.id).await.unwrap();
    attempt_failed(&stage).await;
    assert_eq!(stage.rows.town(town.id).await.fly_machine_id, town.fly_machine_id);
    stage.sim.set_host_down(town.machine(), false);
    stage.idle().await;
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    stage
}

async fn moved_volume_is_found(setup: Setup) -> Stage {
    let stage = setup.start().await;
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

async fn externally_stopped_machine_can_be_stopped_and_started(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    for (procedure, want) in [("stopTown", "stopped"), ("startTown", "running")] {
        stage.on_town("startTown", town.id).await.unwrap();
        assert!(stage.sim.kill_machine(town.machine(), fly_sim::Death::Stopped));
        until("it is stopped", async || stage.sim.machines()[0].state == State::Stopped).await;
        assert_eq!(stage.on_town(procedure, town.id).await.unwrap()["status"], want);
    }
    stage
}

async fn town_without_resources_can_be_destroyed(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for death in [fly_sim::Death::Destroyed, fly_sim::Death::Forgotten] {
        let town = stage.running("mill").await;
        assert!(stage.sim.kill_machine(town.machine(), death));
        assert!(stage.sim.lose_volume(town.volume()));
        let answer = stage.on_town("destroyTown", town.id).await.unwrap();
        let gone = (&answer["townId"], &answer["status"], &answer["operation"]);
        assert_eq!(gone, (&json!(town.id), &json!("destroyed"), &json!(null)), "{death:?}");
    }
    stage
}
