//! Idle stops over the wire: a town stops, says why, and comes back at its next use.

use std::time::Duration;

use fly_sim::Call;
use gastown_domain::ports::Clock as _;
use gastown_orchestrator::{IdlePolicy, MonitorPolicy, Policy};
use gastown_sandbox_sim::SimulatedSandboxes;
use gastown_system::SystemClock;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rows::Town;
use crate::stage::{ALICE, DATA, Setup, Stage, until};

on_both! {
    idle_town_stops_and_comes_back_at_a_new_rig,
    town_at_work_or_without_the_setting_is_never_stopped,
    two_replicas_stop_a_town_once_and_a_start_says_why,
}

/// Hears of sandboxes, checks them, and looks for idle towns several times a second.
fn watched(setup: Setup) -> Setup {
    let Policy { monitor, idle, .. } = setup.policy.clone();
    let policy = Policy {
        monitor: MonitorPolicy { every: Duration::from_millis(600), ..monitor },
        idle: IdlePolicy { every: Duration::from_millis(400), ..idle },
        ..setup.policy
    };
    let mut setup = Setup { policy, ..setup };
    setup.sim.workload = SimulatedSandboxes::default().with_heartbeat(Duration::from_millis(50)).into_workload();
    setup
}

/// Creates a town that is stopped after thirty minutes, and waits until it is known to be well and idle.
async fn configured(stage: &Stage, name: &str) -> Town {
    let input = json!({ "townName": name, "config": { "idle_stop_minutes": 30 } });
    let created = stage.call(ALICE, "createTown", input).await.unwrap();
    assert_eq!(created["config"]["idle_stop_minutes"], 30, "{created}");
    let town: Uuid = created["townId"].as_str().unwrap().parse().unwrap();
    until("well", async || status(stage, town).await["health"]["state"] == "healthy").await;
    until("heard", async || status(stage, town).await["health"]["report"]["activePolecats"] == 0).await;
    stage.rows.town(town).await
}

async fn status(stage: &Stage, town: Uuid) -> Value {
    stage.on_town("getTownStatus", town).await.unwrap()
}

/// Lets an hour pass since the last use and the last work of every town.
async fn an_hour_passes(stage: &Stage) {
    let hour_ago = (SystemClock.now() - chrono::TimeDelta::hours(1)).format("%Y-%m-%dT%H:%M:%S+00:00");
    let unused = format!("UPDATE gastown_town_health SET last_user_call_at = '{hour_ago}'");
    stage.rows.execute(&unused).await;
    let idle = format!("UPDATE gastown_town_health SET idle_since = '{hour_ago}' WHERE idle_since IS NOT NULL");
    stage.rows.execute(&idle).await;
}

async fn row_status(stage: &Stage, town: Uuid) -> String {
    stage.rows.town(town).await.status
}

/// Waits until a town is stopped because an hour passed. On a slow machine its health may be bad for a while, so hours pass.
async fn until_stopped(stage: &Stage, town: Uuid) {
    until("stopped", async || {
        an_hour_passes(stage).await;
        row_status(stage, town).await == "stopped"
    })
    .await;
}

fn stops(stage: &Stage) -> usize {
    stage.sim.calls().into_iter().filter(|record| record.call == Call::StopMachine).count()
}

/// Returns the events of a town as their sentences, oldest first.
async fn history(stage: &Stage, town: Uuid) -> Vec<String> {
    let page = stage.call(ALICE, "listEvents", json!({ "townId": town, "limit": 100 })).await.unwrap();
    let events = page["events"].as_array().unwrap().iter().rev();
    events
        .map(|event| format!("{}: {}", event["actor"].as_str().unwrap(), event["message"].as_str().unwrap()))
        .collect()
}

async fn idle_town_stops_and_comes_back_at_a_new_rig(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = configured(&stage, "mill").await;
    until_stopped(&stage, town.id).await;
    stage.idle().await;

    let shown = status(&stage, town.id).await;
    assert_eq!(shown["idleStop"]["state"], "stopped", "{shown}");
    assert!(shown["idleStop"]["message"].as_str().unwrap().contains("because it was idle"), "{shown}");
    assert!(shown["idleStop"]["since"].is_string() && shown["lastR2SyncAt"].is_string(), "it was synced: {shown}");
    let list = stage.call(ALICE, "listTowns", json!(null)).await.unwrap();
    assert_eq!(list[0]["idleStop"], shown["idleStop"], "{list}");
    let told = history(&stage, town.id).await;
    let expected =
        ["idle: The stop was requested, because the town was idle", "idle: The town was stopped because it was idle"];
    assert_eq!(told[told.len() - 2..], expected, "{told:?}");

    let rig = json!({ "townId": town.id, "rigName": "app", "repoUrl": "https://github.com/acme/app" });
    let added = stage.call(ALICE, "addRig", rig).await.unwrap();
    assert_eq!((&added["status"], &added["idleStop"]), (&json!("pending"), &shown["idleStop"]), "{added}");
    assert_eq!(added["town"]["operation"]["kind"], "start", "{added}");
    until("running", async || row_status(&stage, town.id).await == "running").await;
    until("the rig is there", async || status(&stage, town.id).await["rigs"][0]["status"] == "active").await;
    let shown = status(&stage, town.id).await;
    assert_eq!((&shown["idleStop"], shown["flyVolumeId"].as_str()), (&json!(null), Some(town.volume())));
    stage.idle().await;
    stage
}

async fn town_at_work_or_without_the_setting_is_never_stopped(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let (idle, busy) = (configured(&stage, "mill").await, configured(&stage, "forge").await);
    let off = stage.running("inn").await;
    stage.exec(busy.machine(), &format!("echo 2 > {DATA}/polecats")).await;
    until("at work", async || status(&stage, busy.id).await["health"]["report"]["activePolecats"] == 2).await;
    // The idle town shows that passes were made.
    until_stopped(&stage, idle.id).await;
    stage.idle().await;
    assert_eq!(
        (row_status(&stage, busy.id).await, row_status(&stage, off.id).await),
        ("running".into(), "running".into())
    );
    assert_eq!(stops(&stage), 1);

    // A town that its owner has stopped stays stopped when it gets a rig.
    stage.on_town("stopTown", busy.id).await.unwrap();
    let rig = json!({ "townId": busy.id, "rigName": "app", "repoUrl": "https://github.com/acme/app" });
    let added = stage.call(ALICE, "addRig", rig).await.unwrap();
    assert_eq!((&added["idleStop"], &added["town"]["operation"]), (&json!(null), &json!(null)), "{added}");
    stage
}

async fn two_replicas_stop_a_town_once_and_a_start_says_why(setup: Setup) -> Stage {
    let mut stage = watched(setup).start().await;
    stage.add_replica().await;
    let mut towns = Vec::new();
    for name in ["mill", "forge", "inn"] {
        towns.push(configured(&stage, name).await.id);
    }
    for town in &towns {
        until_stopped(&stage, *town).await;
    }
    stage.idle().await;
    assert_eq!(stops(&stage), towns.len());
    for town in towns {
        let started = stage.on_town("startTown", town).await.unwrap();
        assert_eq!((&started["status"], &started["idleStop"]["state"]), (&json!("running"), &json!("stopped")));
        let again = stage.on_town("startTown", town).await.unwrap();
        assert_eq!(again["idleStop"], json!(null), "{again}");
        let requested = history(&stage, town).await.into_iter().filter(|line| line.starts_with("idle: The stop was"));
        assert_eq!(requested.count(), 1);
    }
    stage
}
