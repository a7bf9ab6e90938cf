use std::time::Duration;

use fly_sim::{SimConfig, Timing};
use serde_json::{Value, json};

use crate::client::{A_WHILE, Fly, error, plain};

fn ok() -> (u16, Value) {
    (200, json!({ "ok": true }))
}

#[tokio::test]
async fn a_machine_stops_and_starts_again() {
    let fly = Fly::fast().await;
    let id = fly.started(plain("town")).await;
    let body = json!({ "id": id, "timeout": "0s" });
    assert_eq!(fly.post(&format!("machines/{id}/stop"), body).await, ok());
    fly.reach(&id, "stopped").await;
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!(null)).await, ok(), "stopping twice is safe");
    let (status, started) = fly.post(&format!("machines/{id}/start"), json!(null)).await;
    assert_eq!((status, &started["previous_state"]), (200, &json!("stopped")));
    fly.reach(&id, "started").await;
    assert_eq!(fly.sim.violations(), [], "fly-go's bodies are in order");
}

#[tokio::test]
async fn a_start_is_refused_in_the_words_of_the_state() {
    let timing = Timing { prepare: A_WHILE, stop: A_WHILE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let refused =
        |state| error(412, &format!("failed_precondition: unable to start machine from current state: '{state}'"));
    let mut body = plain("town");
    body["skip_launch"] = json!(true);
    let id = fly.machine(body).await;
    let start = format!("machines/{id}/start");
    assert_eq!(fly.post(&start, json!(null)).await, refused("created"));
    fly.reach(&id, "stopped").await;
    fly.post(&start, json!(null)).await;
    fly.reach(&id, "started").await;
    assert_eq!(fly.post(&start, json!(null)).await, refused("started"));
    fly.post(&format!("machines/{id}/stop"), json!(null)).await;
    assert_eq!(fly.post(&start, json!(null)).await, refused("stopping"));
}

#[tokio::test]
async fn a_machine_that_has_just_stopped_is_still_active_for_a_moment() {
    let timing = Timing { quiesce: A_WHILE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.started(plain("town")).await;
    fly.post(&format!("machines/{id}/stop"), json!(null)).await;
    fly.reach(&id, "stopped").await;
    let start = format!("machines/{id}/start");
    let active = error(412, "failed_precondition: machine still active, refusing to start");
    assert_eq!(fly.post(&start, json!(null)).await, active);
    fly.until(200, async || fly.post(&start, json!(null)).await).await;
}

#[tokio::test]
async fn a_running_machine_is_destroyed_by_force_only() {
    let fly = Fly::fast().await;
    let id = fly.started(plain("town")).await;
    let path = format!("machines/{id}");
    let text = "failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created";
    assert_eq!(fly.delete(&path).await, error(412, text));
    assert_eq!(fly.delete(&format!("{path}?kill=true")).await, ok());
    fly.reach(&id, "destroyed").await;
    let (status, machine) = fly.get(&path).await;
    assert_eq!((status, &machine["state"]), (200, &json!("destroyed")), "a destroyed machine is still readable");
    assert_eq!(fly.delete(&path).await, ok(), "again is no error");
    assert_eq!(fly.post(&format!("{path}/start"), json!(null)).await, error(404, "machine not found"));
}

#[tokio::test]
async fn destroy_takes_its_time() {
    let timing = Timing { destroy: A_WHILE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.started(plain("town")).await;
    fly.delete(&format!("machines/{id}?force=true")).await;
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["state"], "destroying");
    assert_eq!(fly.get("machines").await.1.as_array().unwrap().len(), 1, "the list still shows it");
    fly.reach(&id, "destroyed").await;
    assert_eq!(fly.get("machines").await.1, json!([]));
}

#[tokio::test]
async fn a_restart_ends_started_and_leaves_an_exit_behind() {
    let fly = Fly::fast().await;
    let mut body = plain("town");
    body["config"]["restart"] = json!({ "policy": "no" });
    let id = fly.started(body).await;
    assert_eq!(fly.post(&format!("machines/{id}/restart?timeout=5"), json!(null)).await, ok());
    fly.reach(&id, "started").await;
    let (_, events) = fly.get(&format!("machines/{id}/events?limit=50")).await;
    assert!(events.as_array().unwrap().iter().any(|event| event["type"] == "exit"), "{events}");
}

#[tokio::test]
async fn a_deadly_signal_leaves_the_machine_to_its_restart_policy() {
    let fly = Fly::fast().await;
    for (policy, end, signal) in [("no", "stopped", json!("SIGKILL")), ("no", "stopped", json!(9))] {
        let mut body = plain(&format!("town-{}", if signal.is_number() { "number" } else { "name" }));
        body["config"]["restart"] = json!({ "policy": policy });
        let id = fly.started(body).await;
        assert_eq!(fly.post(&format!("machines/{id}/signal"), json!({ "signal": signal })).await, ok());
        fly.reach(&id, end).await;
    }
}

#[tokio::test]
async fn a_machine_that_destroys_itself_is_gone_after_its_exit() {
    let fly = Fly::fast().await;
    let mut body = plain("job");
    body["config"]["auto_destroy"] = json!(true);
    body["config"]["env"] = json!({ "TOWN_ID": "and nothing else: the process exits" });
    let id = fly.machine(body).await;
    fly.reach(&id, "destroyed").await;
}

#[tokio::test]
async fn a_suspended_machine_is_resumed_by_start() {
    let timing = Timing { sandbox_boot: Duration::from_secs(60), ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.started(plain("town")).await;
    assert_eq!(fly.post(&format!("machines/{id}/suspend"), json!(null)).await, ok());
    fly.reach(&id, "suspended").await;
    assert_eq!(fly.post(&format!("machines/{id}/start"), json!(null)).await.1["previous_state"], "suspended");
    fly.reach(&id, "started").await;
}

#[tokio::test]
async fn a_cordoned_machine_says_so() {
    let fly = Fly::fast().await;
    let id = fly.machine(plain("town")).await;
    assert_eq!(fly.post(&format!("machines/{id}/cordon"), json!(null)).await, ok());
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["cordoned"], true);
    assert_eq!(fly.post(&format!("machines/{id}/uncordon"), json!(null)).await, ok());
}

#[tokio::test]
async fn an_array_as_body_is_refused_in_gos_words() {
    let fly = Fly::fast().await;
    let id = fly.machine(plain("town")).await;
    let text = "json: cannot unmarshal array into Go value of type main.stopRequest";
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!([])).await, error(400, text));
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!({ "signal": "SIGNONE" })).await.0, 400);
}

#[tokio::test]
async fn the_organization_has_a_machine_limit() {
    let fly = Fly::start(SimConfig { machine_limit: Some(1), ..SimConfig::fast() }).await;
    fly.machine(plain("one")).await;
    let text = "Your organization has reached its machine limit. Please contact billing@fly.io";
    assert_eq!(fly.post("machines", plain("two")).await, error(422, text));
}

#[tokio::test]
async fn a_process_that_can_never_boot_does_not_stop_the_clock() {
    let zero = Duration::ZERO;
    let timing =
        Timing { launch: zero, boot: zero, sandbox_boot: zero, restart_backoff: zero, destroy: zero, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let mut body = plain("town");
    body["config"]["env"] = json!({ "TOWN_ID": "and nothing else: the process exits" });
    body["config"]["restart"] = json!({ "policy": "always" });
    let id = fly.machine(body).await;
    fly.delete(&format!("machines/{id}?force=true")).await;
    fly.reach(&id, "destroyed").await;
}
