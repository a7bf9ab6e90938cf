use std::time::Duration;

use fly_sim::{Call, RateLimits, Side, SimConfig, Timing};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Fly, error, minimal, send};

#[tokio::test]
async fn calls_without_token_are_unauthenticated() {
    let fly = Fly::fast().await;
    let refused = error(401, "Authenticate: token validation error");
    let path = "/v1/apps/mill/machines";
    assert_eq!(send(fly.unauthenticated(Method::GET, path)).await, refused);
    for header in ["Bearer ", "Basic abc", "token"] {
        assert_eq!(
            send(fly.unauthenticated(Method::GET, path).header("authorization", header)).await,
            refused,
            "{header:?}"
        );
    }
    for header in ["Bearer x", "FlyV1 fm2_x"] {
        assert_eq!(
            send(fly.unauthenticated(Method::GET, path).header("authorization", header)).await.0,
            200,
            "{header:?}"
        );
    }
}

#[tokio::test]
async fn configured_token_is_the_only_accepted_one() {
    let fly = Fly::start(SimConfig { token: Some("right".into()), ..SimConfig::fast() }).await;
    assert_eq!(fly.get("machines").await.0, 401);
    assert_eq!(send(fly.unauthenticated(Method::GET, "/v1/apps/mill/machines").bearer_auth("right")).await.0, 200);
}

#[tokio::test]
async fn unknown_path_is_404_without_authentication() {
    let fly = Fly::fast().await;
    for (method, path) in [(Method::GET, "/v1/nothing"), (Method::PATCH, "/v1/apps"), (Method::GET, "/apps/mill")] {
        let response = fly.unauthenticated(method, path).send().await.unwrap();
        assert_eq!(response.status(), 404);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
        assert_eq!(response.text().await.unwrap(), "404 page not found", "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_a_unique_request_id() {
    let fly = Fly::fast().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let response = fly.request(Method::GET, "machines").send().await.unwrap();
        ids.push(response.headers()["fly-request-id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn rate_limits_apply_per_action_and_machine() {
    let timing = Timing { launch: Duration::from_secs(3600), ..Timing::fast() };
    let fly = Fly::start(SimConfig { rates: RateLimits::Fly, timing, ..SimConfig::fast() }).await;
    let (one, other) = (fly.create_machine(minimal("one")).await, fly.create_machine(minimal("other")).await);
    // The calls are concurrent, because the limit allows another call after a second.
    let path = format!("machines/{one}/cordon");
    let answers = join_all((0..4).map(|_| fly.post(&path, json!(null)))).await;
    let mut statuses: Vec<_> = answers.into_iter().map(|(status, _)| status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(fly.post(&format!("machines/{other}/cordon"), json!(null)).await.0, 200);
    assert_eq!(fly.post(&format!("machines/{one}/uncordon"), json!(null)).await.0, 200);
}

#[tokio::test]
async fn calls_are_recorded_in_order() {
    let fly = Fly::fast().await;
    fly.create_machine(minimal("town")).await;
    fly.get("volumes/vol_none").await;
    let calls: Vec<_> = fly.sim.calls().into_iter().map(|call| (call.number, call.call, call.status)).collect();
    assert_eq!(calls, [(1, Call::CreateMachine, Some(200)), (2, Call::GetVolume, Some(404))]);
}

#[tokio::test]
async fn ignored_field_is_recorded_as_request_violation() {
    let fly = Fly::fast().await;
    let mut body = minimal("town");
    body["config"]["restart_policy"] = json!("no");
    fly.create_machine(body).await;
    let violations = fly.sim.violations();
    assert_eq!((violations.len(), violations[0].side, violations[0].call), (1, Side::Request, Call::CreateMachine));
    assert!(violations[0].problem.contains("/config/restart_policy"));
}

#[tokio::test]
async fn unchecked_simulator_records_no_violations() {
    let fly = Fly::start(SimConfig { checks_contract: false, ..SimConfig::fast() }).await;
    let mut body = minimal("town");
    body["config"]["restart_policy"] = json!("no");
    fly.create_machine(body).await;
    assert_eq!(fly.sim.violations(), []);
}

#[tokio::test]
async fn control_api_returns_the_calls_after_a_number() {
    let fly = Fly::fast().await;
    fly.get("machines").await;
    fly.get("volumes").await;
    let (_, found) = send(fly.unauthenticated(Method::GET, "/_sim/calls/1")).await;
    let calls: Vec<_> = found["calls"].as_array().unwrap().iter().map(|call| call["call"].clone()).collect();
    assert_eq!(calls, [json!("ListVolumes")]);
    assert_eq!(send(fly.unauthenticated(Method::GET, "/_sim/calls/last")).await.0, 400);
}

#[tokio::test]
async fn control_api_shows_the_world_and_injects_faults() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let fault = json!({ "call": "GetMachine", "effect": { "kind": "answer", "status": 500, "body": null } });
    assert_eq!(send(fly.unauthenticated(Method::POST, "/_sim/faults").json(&fault)).await.0, 201);
    assert_eq!(fly.get(&format!("machines/{id}")).await, (500, Value::Null));
    assert_eq!(fly.get(&format!("machines/{id}")).await.0, 200);
    let typo = json!({ "call": "GetMachine", "effect": { "kind": "answers" } });
    assert_eq!(send(fly.unauthenticated(Method::POST, "/_sim/faults").json(&typo)).await.0, 400);
    let kill = format!("/_sim/machines/{id}/kill");
    assert_eq!(send(fly.unauthenticated(Method::POST, &kill).json(&json!({ "death": "forgotten" }))).await.0, 204);
    assert_eq!(fly.get(&format!("machines/{id}")).await, error(404, "machine not found"));
    let (_, world) = send(fly.unauthenticated(Method::GET, "/_sim/world")).await;
    assert_eq!((&world["machines"], &world["apps"][0]["name"]), (&json!([]), &json!("mill")));
    assert!(world["calls"].as_array().unwrap().iter().any(|call| call["faulted"] == true));
}

#[tokio::test]
async fn shutdown_ends_long_polls() {
    let timing = Timing { launch: Duration::from_secs(3600), ..Timing::fast() };
    let sim = fly_sim::FlySim::start(SimConfig { timing, ..SimConfig::fast() }).await.unwrap();
    sim.create_app("mill").unwrap();
    let (http, url) =
        (reqwest::Client::builder().no_proxy().build().unwrap(), format!("{}/v1/apps/mill/machines", sim.url()));
    let made: Value =
        http.post(&url).bearer_auth("t").json(&minimal("town")).send().await.unwrap().json().await.unwrap();
    let poll = http.get(format!("{url}/{}/wait", made["id"].as_str().unwrap())).bearer_auth("t");
    let poll = tokio::spawn(async move { poll.send().await.map(|response| response.status().as_u16()) });
    while !sim.calls().iter().any(|call| call.call == Call::Wait) {
        tokio::task::yield_now().await;
    }
    sim.shutdown().await;
    assert_eq!(poll.await.unwrap().unwrap(), 503);
}
