use std::time::Duration;

use fly_sim::{SimConfig, Timing};
use serde_json::json;

use crate::client::{Fly, error, minimal};

#[tokio::test]
async fn wait_answers_when_state_is_reached() {
    let fly = Fly::fast().await;
    let id = fly.create_machine(minimal("town")).await;
    let version = fly.version(&id).await;
    let (status, answer) = fly.get(&format!("machines/{id}/wait")).await;
    assert_eq!((status, &answer["ok"], &answer["state"]), (200, &json!(true), &json!("started")));
    let (status, _) = fly.get(&format!("machines/{id}/wait?state=stopped,started&timeout=1&version={version}")).await;
    assert_eq!(status, 200, "one of several states is enough");
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=stopped&state=started&version={version}")).await.0, 200);
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=settled")).await.0, 200);
}

#[tokio::test]
async fn wait_timeout_is_between_one_and_sixty_seconds() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let text = "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]";
    for timeout in ["61", "0", "300"] {
        let answer = fly.get(&format!("machines/{id}/wait?state=started&timeout={timeout}")).await;
        assert_eq!(answer, error(400, text), "{timeout}");
    }
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=started&timeout=60")).await.0, 200);
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=flying")).await.0, 400);
    assert_eq!(fly.get("machines/00000000000000/wait").await, error(404, "machine not found"));
}

#[tokio::test]
async fn wait_timeout_reports_current_state() {
    let timing = Timing { launch: Duration::from_secs(3600), ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.create_machine(minimal("town")).await;
    let text = "deadline_exceeded: machine failed to reach desired state, started, currently created";
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=started&timeout=1")).await, error(408, text));
}

#[tokio::test]
async fn wait_for_superseded_version_ends_replaced() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let old = fly.sim.machines()[0].version.clone();
    let (_, updated) = fly.post(&format!("machines/{id}"), minimal("town")).await;
    let text = "deadline_exceeded: machine failed to reach desired state, started, currently replaced";
    for name in ["version", "instance_id"] {
        assert_eq!(fly.get(&format!("machines/{id}/wait?state=started&{name}={old}")).await, error(408, text));
    }
    let new = updated["instance_id"].as_str().unwrap();
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=started&version={new}")).await.0, 200);
}

#[tokio::test]
async fn wait_for_start_of_destroyed_machine_is_refused() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    fly.delete(&format!("machines/{id}?force=true")).await;
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=started")).await.0, 400);
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=destroyed")).await.0, 200);
}
