//! Programs in machines, which a workload supplies.

use fly_sim::{Call, Effect, Fault, ProgramCall, SimConfig};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{APP, Answer, Fly, minimal, mounting, send},
    greeter::{GREET, Greeter},
};

async fn greeting() -> Fly {
    Fly::start(SimConfig { workload: Some(Greeter::workload()), ..SimConfig::fast() }).await
}

async fn call(fly: &Fly, id: &str, path: &str) -> Answer {
    send(fly.unauthenticated(Method::GET, &format!("/_machine/{APP}/{id}{path}"))).await
}

#[tokio::test]
async fn program_answers_requests_of_both_forms() {
    let fly = greeting().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    let first = fly.until(200, async || call(&fly, &id, "/a/b?x=1").await).await;
    let want = json!({ "app": APP, "machine": id, "path": "/a/b", "visits": 1, "body": "", "query": [["x", "1"]] });
    assert_eq!(first, want);
    let pinned = fly.unauthenticated(Method::POST, "/_proxy/mill/greet").header("fly-force-instance-id", &id);
    let (status, second) = send(pinned.body("hello")).await;
    assert_eq!((status, &second["visits"], &second["body"]), (200, &json!(2), &json!("hello")));
    let kinds: Vec<Call> = fly.sim.calls().into_iter().map(|record| record.call).collect();
    assert!(kinds.contains(&Call::Program(ProgramCall::OTHER)) && kinds.contains(&Call::Program(GREET)), "{kinds:?}");
}

#[tokio::test]
async fn machine_that_does_not_run_gets_the_errors_of_the_proxy() {
    let fly = greeting().await;
    let id = fly.start_machine(minimal("town")).await;
    fly.until(200, async || call(&fly, &id, "/greet").await).await;
    fly.post(&format!("machines/{id}/stop"), Value::Null).await;
    assert_eq!(call(&fly, &id, "/greet").await, (503, json!("machine is not running")));
    assert_eq!(call(&fly, "12345", "/greet").await, (502, json!("machine not found")));
}

#[tokio::test]
async fn without_a_workload_machines_serve_nothing() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    assert_eq!(call(&fly, &id, "/").await, (502, json!("connection refused")));
}

#[tokio::test]
async fn fault_hits_one_kind_of_request() {
    let fly = greeting().await;
    let id = fly.start_machine(minimal("town")).await;
    fly.until(200, async || call(&fly, &id, "/greet").await).await;
    fly.sim.inject(Fault::at(Call::Program(GREET), Effect::server_error()));
    assert_eq!(call(&fly, &id, "/other").await.0, 200);
    assert_eq!(call(&fly, &id, "/greet").await.0, 500);
}

#[tokio::test]
async fn fault_at_an_unknown_kind_of_call_is_refused() {
    let fly = greeting().await;
    for (name, status) in [("Greet", 201), ("Program", 201), ("GetMachine", 201), ("GetMachines", 400)] {
        let fault = json!({ "call": name, "effect": { "kind": "drop_request" } });
        let (found, body) = send(fly.unauthenticated(Method::POST, "/_sim/faults").json(&fault)).await;
        assert_eq!(found, status, "{name}: {body}");
    }
}
