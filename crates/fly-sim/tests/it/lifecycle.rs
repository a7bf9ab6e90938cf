use std::time::Duration;

use fly_sim::{SimConfig, Timing};
use serde_json::{Value, json};

use crate::client::{Fly, OBSERVABLE, error, minimal};
use crate::greeter::Greeter;

fn ok() -> (u16, Value) {
    (200, json!({ "ok": true }))
}

#[tokio::test]
async fn machine_stops_and_starts_again() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let body = json!({ "id": id, "timeout": "0s" });
    assert_eq!(fly.post(&format!("machines/{id}/stop"), body).await, ok());
    fly.wait_for(&id, "stopped").await;
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!(null)).await, ok(), "a repeated stop succeeds");
    let (status, started) = fly.post(&format!("machines/{id}/start"), json!(null)).await;
    assert_eq!((status, &started["previous_state"]), (200, &json!("stopped")));
    fly.wait_for(&id, "started").await;
    assert_eq!(fly.sim.violations(), [], "fly-go's bodies are valid");
}

#[tokio::test]
async fn start_is_refused_with_current_state() {
    let timing = Timing { prepare: OBSERVABLE, stop: OBSERVABLE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let refused =
        |state| error(412, &format!("failed_precondition: unable to start machine from current state: '{state}'"));
    let mut body = minimal("town");
    body["skip_launch"] = json!(true);
    let id = fly.create_machine(body).await;
    let start = format!("machines/{id}/start");
    assert_eq!(fly.post(&start, json!(null)).await, refused("created"));
    fly.wait_for(&id, "stopped").await;
    fly.post(&start, json!(null)).await;
    fly.wait_for(&id, "started").await;
    assert_eq!(fly.post(&start, json!(null)).await, refused("started"));
    fly.post(&format!("machines/{id}/stop"), json!(null)).await;
    assert_eq!(fly.post(&start, json!(null)).await, refused("stopping"));
}

#[tokio::test]
async fn start_is_refused_shortly_after_stop() {
    let timing = Timing { quiesce: OBSERVABLE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.start_machine(minimal("town")).await;
    fly.post(&format!("machines/{id}/stop"), json!(null)).await;
    fly.wait_for(&id, "stopped").await;
    let start = format!("machines/{id}/start");
    let active = error(412, "failed_precondition: machine still active, refusing to start");
    assert_eq!(fly.post(&start, json!(null)).await, active);
    fly.until(200, async || fly.post(&start, json!(null)).await).await;
}

#[tokio::test]
async fn running_machine_is_destroyed_with_force_only() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let path = format!("machines/{id}");
    let text = "failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created";
    assert_eq!(fly.delete(&path).await, error(412, text));
    assert_eq!(fly.delete(&format!("{path}?kill=true")).await, ok());
    fly.wait_for(&id, "destroyed").await;
    let (status, machine) = fly.get(&path).await;
    assert_eq!((status, &machine["state"]), (200, &json!("destroyed")), "a destroyed machine is still readable");
    assert_eq!(fly.delete(&path).await, ok(), "a repeated destroy succeeds");
    assert_eq!(fly.post(&format!("{path}/start"), json!(null)).await, error(404, "machine not found"));
}

#[tokio::test]
async fn destroying_machine_is_listed_until_destroyed() {
    let timing = Timing { destroy: OBSERVABLE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.start_machine(minimal("town")).await;
    fly.delete(&format!("machines/{id}?force=true")).await;
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["state"], "destroying");
    assert_eq!(fly.get("machines").await.1.as_array().unwrap().len(), 1, "the list still shows it");
    fly.wait_for(&id, "destroyed").await;
    assert_eq!(fly.get("machines").await.1, json!([]));
}

#[tokio::test]
async fn restart_records_an_exit_and_ends_started() {
    let fly = Fly::fast().await;
    let mut body = minimal("town");
    body["config"]["restart"] = json!({ "policy": "no" });
    let id = fly.start_machine(body).await;
    assert_eq!(fly.post(&format!("machines/{id}/restart?timeout=5"), json!(null)).await, ok());
    fly.wait_for(&id, "started").await;
    let (_, events) = fly.get(&format!("machines/{id}/events?limit=50")).await;
    assert!(events.as_array().unwrap().iter().any(|event| event["type"] == "exit"), "{events}");
}

#[tokio::test]
async fn restart_policy_applies_after_deadly_signal() {
    let fly = Fly::fast().await;
    for (policy, end, signal) in [("no", "stopped", json!("SIGKILL")), ("no", "stopped", json!(9))] {
        let mut body = minimal(&format!("town-{}", if signal.is_number() { "number" } else { "name" }));
        body["config"]["restart"] = json!({ "policy": policy });
        let id = fly.start_machine(body).await;
        assert_eq!(fly.post(&format!("machines/{id}/signal"), json!({ "signal": signal })).await, ok());
        fly.wait_for(&id, end).await;
    }
}

#[tokio::test]
async fn auto_destroy_machine_is_destroyed_after_exit() {
    let fly = Fly::start(SimConfig { workload: Some(Greeter::workload()), ..SimConfig::fast() }).await;
    let mut body = minimal("job");
    body["config"]["auto_destroy"] = json!(true);
    body["config"]["env"] = json!({ "CRASH": "1" });
    let id = fly.create_machine(body).await;
    fly.wait_for(&id, "destroyed").await;
}

#[tokio::test]
async fn start_resumes_suspended_machine() {
    let timing = Timing { program_boot: Duration::from_secs(60), ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.start_machine(minimal("town")).await;
    assert_eq!(fly.post(&format!("machines/{id}/suspend"), json!(null)).await, ok());
    fly.wait_for(&id, "suspended").await;
    assert_eq!(fly.post(&format!("machines/{id}/start"), json!(null)).await.1["previous_state"], "suspended");
    fly.wait_for(&id, "started").await;
}

#[tokio::test]
async fn cordoned_machine_is_shown_as_cordoned() {
    let fly = Fly::fast().await;
    let id = fly.create_machine(minimal("town")).await;
    assert_eq!(fly.post(&format!("machines/{id}/cordon"), json!(null)).await, ok());
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["cordoned"], true);
    assert_eq!(fly.post(&format!("machines/{id}/uncordon"), json!(null)).await, ok());
}

#[tokio::test]
async fn array_body_is_refused_with_go_error() {
    let fly = Fly::fast().await;
    let id = fly.create_machine(minimal("town")).await;
    let text = "json: cannot unmarshal array into Go value of type main.stopRequest";
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!([])).await, error(400, text));
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!({ "signal": "SIGNONE" })).await.0, 400);
}

#[tokio::test]
async fn create_is_refused_at_machine_limit() {
    let fly = Fly::start(SimConfig { machine_limit: Some(1), ..SimConfig::fast() }).await;
    fly.create_machine(minimal("one")).await;
    let text = "Your organization has reached its machine limit. Please contact billing@fly.io";
    assert_eq!(fly.post("machines", minimal("two")).await, error(422, text));
}

#[tokio::test]
async fn endless_restarts_do_not_block_the_clock() {
    let zero = Duration::ZERO;
    let timing =
        Timing { launch: zero, boot: zero, program_boot: zero, restart_backoff: zero, destroy: zero, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, workload: Some(Greeter::workload()), ..SimConfig::fast() }).await;
    let mut body = minimal("town");
    body["config"]["env"] = json!({ "CRASH": "1" });
    body["config"]["restart"] = json!({ "policy": "always" });
    let id = fly.create_machine(body).await;
    fly.delete(&format!("machines/{id}?force=true")).await;
    fly.wait_for(&id, "destroyed").await;
}
