//! Requests that Fly refuses: wrong bodies, unknown names, large bodies and connections that say nothing.

use fly_sim::{FlySim, SimConfig};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::{Fly, error, minimal, send};

#[tokio::test]
async fn wrong_bodies_are_refused_with_a_clear_error() {
    let fly = Fly::fast().await;
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    for body in ["{", "nonsense", "\"text\"", "7", "[]", "{\"config\":[]}", "{\"config\":{\"image\":7}}", &deep] {
        let request = fly.request(Method::POST, "machines").header("content-type", "application/json");
        let (status, refusal) = send(request.body(body.to_owned())).await;
        assert_eq!((status, refusal["error"].is_string()), (400, true), "{body}: {refusal}");
    }
    let (status, refusal) = send(fly.request(Method::POST, "machines").body(vec![0xff, 0xfe])).await;
    assert_eq!((status, refusal["error"].is_string()), (400, true), "{refusal}");
    assert_eq!(fly.sim.machines(), []);
}

#[tokio::test]
async fn body_of_ten_megabytes_is_refused_and_the_next_call_works() {
    let fly = Fly::fast().await;
    let mut body = minimal("town");
    body["config"]["env"] = json!({ "LARGE": "x".repeat(10 << 20) });
    assert_eq!(fly.post("machines", body).await, error(413, "http: request body too large"));
    assert_eq!(fly.post("machines", minimal("town")).await.0, 200);
}

#[tokio::test]
async fn ids_of_another_app_are_not_found() {
    let fly = Fly::fast().await;
    fly.sim.create_app("other").unwrap();
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(minimal("town")).await;
    let other = "/v1/apps/other";
    for path in ["", "/wait", "/events", "/lease", "/metadata", "/ps", "/memory", "/versions"] {
        assert_eq!(fly.get(&format!("{other}/machines/{id}{path}")).await, error(404, "machine not found"), "{path}");
    }
    for path in ["/start", "/stop", "/restart", "/suspend", "/cordon"] {
        let answer = fly.post(&format!("{other}/machines/{id}{path}"), Value::Null).await;
        assert_eq!(answer, error(404, "machine not found"), "{path}");
    }
    let exec = fly.post(&format!("{other}/machines/{id}/exec"), json!({ "command": ["true"] })).await;
    assert_eq!(exec, error(404, "machine not found"));
    for path in ["", "/snapshots"] {
        assert_eq!(fly.get(&format!("{other}/volumes/{volume}{path}")).await, error(404, "volume not found"), "{path}");
    }
    assert_eq!(fly.delete(&format!("{other}/machines/{id}?force=true")).await.0, 404);
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["state"], "started");
}

/// Returns what the simulator answers to an incomplete request on a connection that stays open.
async fn answer_to(sim: &FlySim, request: &str) -> String {
    let mut connection = TcpStream::connect(sim.address()).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Time is paused and advances while all tasks wait, so these time-outs pass at once.
#[tokio::test(start_paused = true)]
async fn half_open_connections_are_closed() {
    let sim = FlySim::start(SimConfig::fast()).await.unwrap();
    let head = "POST /v1/apps HTTP/1.1\r\nhost: fly\r\nauthorization: Bearer t\r\ncontent-length: 100\r\n";
    let unfinished_head = answer_to(&sim, head).await;
    assert!(unfinished_head.is_empty() || unfinished_head.starts_with("HTTP/1.1 408"), "{unfinished_head}");
    let unfinished_body = answer_to(&sim, &format!("{head}\r\n{{")).await;
    assert!(
        unfinished_body.starts_with("HTTP/1.1 408") && unfinished_body.contains("did not arrive"),
        "{unfinished_body}"
    );
    assert_eq!(answer_to(&sim, "").await, "", "a connection without a request");
}
