//! `stopTown` and `startTown`: all data on the volume is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use fly_sim::{Call, Death, Effect, Fault, State};
use gastown_sandbox_sim::SANDBOX_SYNC;
use serde_json::json;

use crate::stage::{ALICE, BOB, DATA, Setup, Stage, until};

on_both! {
    stopped_town_starts_with_its_rigs_and_files,
    stop_syncs_first_and_records_the_time,
    stop_continues_after_a_failed_sync,
    repeated_stop_and_start_change_nothing,
    list_contains_only_the_callers_live_towns,
    failed_start_leaves_the_town_stopped_with_its_volume,
    lost_volume_is_never_replaced_by_an_empty_one,
    deleted_machine_is_recreated_on_its_volume,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn town_lives_behind_pgbouncer() {
    let setup = Setup { behind_pgbouncer: true, ..Setup::postgres() };
    let mut stage = stopped_town_starts_with_its_rigs_and_files(setup).await;
    stage.add_replica().await;
    let town = stage.rows.towns().await.remove(0);
    stage.on_town("destroyTown", town.id).await.unwrap();
    stage.check_invariants().await;
}

async fn stopped_town_starts_with_its_rigs_and_files(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    let before = stage.exec(town.machine(), &format!("cat {DATA}/rigs.json")).await;
    assert!(before.contains("https://github.com/acme/app"), "{before}");

    let stopped = stage.on_town("stopTown", town.id).await.unwrap();
    assert_eq!(stopped["status"], "stopped");
    assert_eq!(stage.sim.machines()[0].state, State::Stopped);
    let [volume] = stage.sim.volumes().try_into().unwrap();
    assert_eq!((volume.id.as_str(), volume.files["flour.txt"].as_str()), (town.volume(), "ground\n"));

    let started = stage.on_town("startTown", town.id).await.unwrap();
    assert_eq!(started["status"], "running");
    let row = stage.rows.town(town.id).await;
    assert_eq!((row.machine(), row.volume()), (town.machine(), town.volume()));
    assert_eq!(stage.exec(row.machine(), &format!("cat {DATA}/rigs.json")).await, before);
    assert_eq!(stage.exec(row.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&status["rigs"][0]["rigName"], &status["rigs"][0]["status"]), (&json!("app"), &json!("active")));
    stage
}

async fn stop_syncs_first_and_records_the_time(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    assert_eq!(town.last_r2_sync_at, None);
    stage.on_town("stopTown", town.id).await.unwrap();
    let calls: Vec<_> = stage.sim.calls().into_iter().map(|record| record.call).collect();
    let at = |wanted| calls.iter().position(|call| *call == wanted).unwrap();
    assert!(at(SANDBOX_SYNC) < at(Call::StopMachine), "{calls:?}");
    assert!(stage.sim.volumes()[0].files.contains_key("last_sync"));
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    let synced_at = stage.rows.town(town.id).await.last_r2_sync_at.unwrap();
    let shown: chrono::DateTime<chrono::Utc> = status["lastR2SyncAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(shown.timestamp_millis(), synced_at.timestamp_millis());
    stage
}

async fn stop_continues_after_a_failed_sync(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.sim.inject(Fault::at(SANDBOX_SYNC, Effect::server_error()).always());
    let stopped = stage.on_town("stopTown", town.id).await.unwrap();
    assert_eq!((&stopped["status"], &stopped["lastR2SyncAt"]), (&json!("stopped"), &json!(null)));
    stage
}

async fn repeated_stop_and_start_change_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    for (procedure, status) in
        [("startTown", "running"), ("stopTown", "stopped"), ("stopTown", "stopped"), ("startTown", "running")]
    {
        let answer = stage.on_town(procedure, town.id).await.unwrap();
        assert_eq!(answer["status"], status, "{procedure}");
    }
    let calls: Vec<_> = stage.sim.calls().into_iter().map(|record| record.call).collect();
    let count = |wanted| calls.iter().filter(|call| **call == wanted).count();
    assert_eq!((count(Call::StopMachine), count(Call::CreateMachine), count(Call::CreateVolume)), (1, 1, 1));
    stage
}

async fn list_contains_only_the_callers_live_towns(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let gone = stage.running("gone").await;
    stage.on_town("destroyTown", gone.id).await.unwrap();
    for name in ["mill", "inn"] {
        stage.running(name).await;
    }
    stage.call(BOB, "createTown", json!({ "townName": "bobs" })).await.unwrap();
    for (user, want) in [(ALICE, vec!["inn", "mill"]), (BOB, vec!["bobs"])] {
        let listed = stage.call(user, "listTowns", json!(null)).await.unwrap();
        let names: BTreeSet<_> =
            listed.as_array().unwrap().iter().map(|town| town["townName"].as_str().unwrap()).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), want);
    }
    stage
}

async fn failed_start_leaves_the_town_stopped_with_its_volume(mut setup: Setup) -> Stage {
    setup.policy.timeouts.start = Duration::from_secs(3);
    setup.policy.timeouts.await_state = Duration::from_millis(100);
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    // Fly may refuse the first start while it still replaces the machine, so the fault meets each start.
    stage.sim.inject(Fault::at(Call::StartMachine, Effect::never_starts()).always());
    let refused = stage.on_town("startTown", town.id).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.status), ("GATEWAY_TIMEOUT", 504));
    assert_eq!(refused.message, "The town could not be started: the machine did not start in time");
    let row = stage.rows.town(town.id).await;
    assert_eq!((row.status.as_str(), row.volume()), ("stopped", town.volume()));
    stage.sim.clear_faults();
    // The machine of a stopped town does not run, and the next start succeeds.
    until("the machine is stopped again", async || stage.sim.machines()[0].state == State::Stopped).await;
    let started = stage.on_town("startTown", town.id).await.unwrap();
    assert_eq!(started["status"], "running");
    stage
}

async fn lost_volume_is_never_replaced_by_an_empty_one(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    assert!(stage.sim.lose_volume(town.volume()));
    let refused = stage.on_town("startTown", town.id).await.unwrap_err();
    assert_eq!(refused.code, "BAD_GATEWAY");
    assert_eq!(refused.data["failure"], "volume_lost");
    assert_eq!(stage.sim.volumes(), []);
    let made = stage.sim.calls().iter().filter(|record| record.call == Call::CreateVolume).count();
    assert_eq!(made, 1);
    // The town can still be destroyed.
    stage.on_town("destroyTown", town.id).await.unwrap();
    assert_eq!(stage.sim.machines(), []);
    stage
}

async fn deleted_machine_is_recreated_on_its_volume(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    assert!(stage.sim.kill_machine(town.machine(), Death::Destroyed));
    until("the machine is gone", async || stage.sim.machines().is_empty()).await;
    let started = stage.on_town("startTown", town.id).await.unwrap();
    assert_eq!(started["status"], "running");
    let row = stage.rows.town(town.id).await;
    assert_ne!(row.machine(), town.machine());
    assert_eq!(row.volume(), town.volume());
    assert_eq!(stage.exec(row.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
    stage
}
