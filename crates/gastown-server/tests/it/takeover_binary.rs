//! Kills the binary during an operation: another replica completes it.

use fly_sim::{Call, Effect, Fault};
use gastown_sandbox_sim::SANDBOX_HEALTH;
use serde_json::json;

use crate::client;
use crate::process::Gastown;
use crate::stage::{ALICE, Setup, Stage, until};

on_both! {
    killed_process_loses_no_town_and_no_machine,
}

async fn killed_process_loses_no_town_and_no_machine(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    // The replica of the stage must not take over yet.
    stage.crash().await;
    for (at, call) in [Call::CreateVolume, Call::CreateMachine, SANDBOX_HEALTH].into_iter().enumerate() {
        let mut process = Gastown::spawn(&["serve"], &stage.settings);
        let url = process.served_url().await;
        stage.sim.inject(Fault::at(call, Effect::throttled()).always());
        let token = stage.token(ALICE).to_owned();
        let create = tokio::spawn(async move {
            client::call(&url, &token, "createTown", json!({ "townName": format!("mill-{at}") })).await
        });
        let held = |record: &fly_sim::CallRecord| record.call == call && record.faulted;
        until("the operation has started", async || stage.sim.calls().iter().any(held)).await;
        process.kill().await;
        assert!(create.await.is_err(), "the caller was answered by a dead process");
        stage.sim.clear_faults();
        stage.succeed().await;
        stage.idle().await;
        let town = stage.rows.towns().await.pop().unwrap();
        assert_eq!(town.status, "running", "{call:?}");
        assert_eq!((stage.sim.machines().len(), stage.sim.volumes().len()), (at + 1, at + 1), "{call:?}");
        stage.crash().await;
    }
    stage.add_replica().await;
    stage
}
