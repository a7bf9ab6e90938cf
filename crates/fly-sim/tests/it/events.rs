//! The events of a machine, and the waits for them.

use fly_sim::{Death, SimConfig, Timing};
use serde_json::{Value, json};

use crate::client::{Fly, OBSERVABLE, error, minimal};

/// Returns the newest event `exit` of a machine.
async fn exit_event(fly: &Fly, id: &str) -> Value {
    let (_, events) = fly.get(&format!("machines/{id}/events")).await;
    let exit = events.as_array().unwrap().iter().find(|event| event["type"] == "exit").unwrap();
    exit["request"]["exit_event"].clone()
}

fn machine(name: &str, key: &str, value: Value) -> Value {
    let mut body = minimal(name);
    body["config"][key] = value;
    body
}

#[tokio::test]
async fn exit_has_a_time_that_go_decodes_and_no_signal() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    fly.post(&format!("machines/{id}/stop"), json!(null)).await;
    fly.wait_for(&id, "stopped").await;
    let exit = exit_event(&fly, &id).await;
    let exited_at = exit["exited_at"].as_str().unwrap();
    assert_eq!((exited_at.len(), &exited_at[19..20], &exited_at[29..]), (30, ".", "Z"), "{exited_at}");
    assert_eq!((&exit["signal"], &exit["guest_signal"]), (&json!(-1), &json!(-1)));
    assert_eq!((&exit["requested_stop"], &exit["exit_code"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn exit_names_the_signal_that_ended_the_process() {
    let fly = Fly::fast().await;
    for (name, signal, number) in [("term", json!("SIGTERM"), 15), ("kill", json!(9), 9), ("hup", json!("SIGHUP"), 1)] {
        let id = fly.start_machine(machine(name, "restart", json!({ "policy": "no" }))).await;
        fly.post(&format!("machines/{id}/signal"), json!({ "signal": signal })).await;
        fly.wait_for(&id, "stopped").await;
        let exit = exit_event(&fly, &id).await;
        assert_eq!((&exit["signal"], &exit["exit_code"]), (&json!(number), &json!(128 + number)), "{name}");
    }
    let id = fly.start_machine(minimal("handled")).await;
    assert_eq!(fly.post(&format!("machines/{id}/signal"), json!({ "signal": "SIGUSR1" })).await.0, 200);
    assert_eq!(fly.post(&format!("machines/{id}/signal"), json!({ "signal": 99 })).await.0, 400);
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["state"], "started");
}

#[tokio::test]
async fn suspend_and_restart_have_events_of_their_own() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    fly.post(&format!("machines/{id}/restart"), json!(null)).await;
    fly.wait_for(&id, "started").await;
    fly.post(&format!("machines/{id}/suspend"), json!(null)).await;
    fly.wait_for(&id, "suspended").await;
    assert_eq!(
        fly.events(&id).await,
        [
            "launch created user",
            "start starting flyd",
            "start started flyd",
            "restart stopping user",
            "exit stopped flyd",
            "restart starting flyd",
            "start started flyd",
            "suspend suspending user",
            "suspend suspended flyd",
        ]
    );
}

#[tokio::test]
async fn machine_with_auto_destroy_is_destroyed_by_every_end_of_its_process() {
    let fly = Fly::fast().await;
    let start = async |name: &str| fly.start_machine(machine(name, "auto_destroy", json!(true))).await;
    let (stopped, signalled, killed) = (start("stop").await, start("signal").await, start("kill").await);
    let (stop, wait) =
        [format!("machines/{stopped}/stop"), format!("machines/{stopped}/wait?state=destroyed&timeout=30")].into();
    let (stop, wait) = futures::future::join(fly.post(&stop, json!(null)), fly.get(&wait)).await;
    assert_eq!((stop.0, wait.0), (200, 200), "a wait for the destruction ends");
    fly.post(&format!("machines/{signalled}/signal"), json!({ "signal": "SIGTERM" })).await;
    fly.sim.kill_machine(&killed, Death::Stopped);
    for id in [&stopped, &signalled, &killed] {
        fly.wait_for(id, "destroyed").await;
        assert_eq!(exit_event(&fly, id).await["restarting"], false);
    }
}

#[tokio::test]
async fn wait_for_stopped_needs_a_version() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let text = "invalid_argument: invalid WaitMachineRequest.Version: value is required to wait for stopped";
    assert_eq!(fly.get(&format!("machines/{id}/wait?state=stopped&timeout=1")).await, error(400, text));
    let version = fly.version(&id).await;
    for name in ["instance_id", "version"] {
        let waited = fly.get(&format!("machines/{id}/wait?state=stopped&timeout=1&{name}={version}")).await;
        assert_eq!(waited.0, 408, "{name}: the machine is started");
    }
}

#[tokio::test]
async fn wait_after_an_event_ignores_what_was_before() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let (_, waited) = fly.get(&format!("machines/{id}/wait?state=started")).await;
    let started = waited["event_id"].as_str().unwrap();
    let after = format!("machines/{id}/wait?state=started&timeout=1&from_event_id={started}");
    assert_eq!(fly.get(&after).await.0, 408, "the start was before the event");
    assert_eq!(fly.get(&format!("machines/{id}/wait?from_event_id=01NONE")).await.0, 400);

    fly.post(&format!("machines/{id}/restart"), json!(null)).await;
    let (status, again) = fly.get(&after).await;
    assert_eq!((status, again["event_id"] != waited["event_id"]), (200, true), "{again}");
}

#[tokio::test]
async fn wait_after_an_event_sees_a_state_that_is_left_again() {
    let timing = Timing { boot: OBSERVABLE, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    let id = fly.start_machine(minimal("town")).await;
    let (_, waited) = fly.get(&format!("machines/{id}/wait?state=started")).await;
    let (event, version) = (waited["event_id"].as_str().unwrap(), waited["version"].as_str().unwrap());
    fly.post(&format!("machines/{id}/stop"), json!(null)).await;
    fly.wait_for(&id, "stopped").await;
    fly.post(&format!("machines/{id}/start"), json!(null)).await;
    let wait = format!("machines/{id}/wait?state=stopped&timeout=1&version={version}");
    assert_eq!(fly.get(&wait).await.0, 408, "it is starting again");
    assert_eq!(fly.get(&format!("{wait}&from_event_id={event}")).await.0, 200);
}
