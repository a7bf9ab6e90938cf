//! The simulated clock, which is advanced and stopped.

use std::time::Duration;

use chrono::{DateTime, Utc};
use fly_sim::{FlySim, SimConfig, Timing};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Fly, minimal, send};

async fn state(fly: &Fly, id: &str) -> Value {
    fly.get(&format!("machines/{id}")).await.1["state"].clone()
}

#[tokio::test]
async fn advance_makes_everything_happen_that_is_due() {
    let hour = Duration::from_secs(3600);
    let timing = Timing { launch: hour, boot: hour, ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, epoch: Some(DateTime::UNIX_EPOCH), ..SimConfig::fast() }).await;
    let id = fly.create_machine(minimal("one")).await;
    assert_eq!(state(&fly, &id).await, "created");
    fly.sim.advance_clock(hour);
    assert_eq!(state(&fly, &id).await, "starting");
    let change = json!({ "advance_seconds": 3600 });
    let (status, clock) = send(fly.unauthenticated(Method::POST, "/_sim/clock").json(&change)).await;
    assert_eq!((status, &clock["frozen"]), (200, &json!(false)));
    assert!(clock["now"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap().timestamp() >= 7200, "{clock}");
    assert_eq!(state(&fly, &id).await, "started");
}

#[tokio::test]
async fn nothing_happens_while_the_clock_is_stopped() {
    let fly = Fly::fast().await;
    let clock = async |change: Value| send(fly.unauthenticated(Method::POST, "/_sim/clock").json(&change)).await;
    clock(json!({ "frozen": true })).await;
    let id = fly.create_machine(minimal("one")).await;
    let now = clock(json!({})).await;
    let timed_out = fly.get(&format!("machines/{id}/wait?state=started&timeout=1")).await;
    assert_eq!((timed_out.0, state(&fly, &id).await), (408, json!("created")));
    assert_eq!(clock(json!({})).await, now);
    clock(json!({ "frozen": false })).await;
    fly.wait_for(&id, "started").await;
    for change in [json!({ "advance_seconds": -1 }), json!({ "advance_seconds": 1e300 }), json!({ "advance": 1 })] {
        assert_eq!(clock(change.clone()).await.0, 400, "{change}");
    }
}

#[tokio::test]
async fn lease_expires_when_the_clock_is_advanced() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("one")).await;
    fly.post(&format!("machines/{id}/lease"), json!({ "ttl": 600 })).await;
    assert_eq!(fly.post(&format!("machines/{id}/stop"), Value::Null).await.0, 409);
    fly.sim.advance_clock(Duration::from_secs(601));
    assert_eq!(fly.post(&format!("machines/{id}/stop"), Value::Null).await.0, 200);
}

#[tokio::test]
async fn builder_starts_at_the_given_time() {
    let sim = FlySim::builder().epoch(DateTime::UNIX_EPOCH).app("mill").start().await.unwrap();
    sim.set_clock_frozen(true);
    let id = sim.seed_machine(&fly_sim::MachineSeed::new("mill", "one")).unwrap();
    assert!(sim.machines()[0].created_at.timestamp() < 60, "{id}");
}
