//! Programs of the user that are attached to machines, with autostart and autostop.

use std::time::Duration;

use fly_sim::{AttachError, SimConfig};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::client::{APP, Answer, Fly, minimal, send};

/// Serves a program that answers 201 with the head of the request. Returns its address.
async fn program() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 65536];
            let read = stream.read(&mut request).await.unwrap();
            let body = &request[..read];
            let head = "HTTP/1.1 201 Created\r\nx-program: mine\r\nconnection: close\r\ncontent-length:";
            stream.write_all(format!("{head} {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
            stream.write_all(body).await.unwrap();
        }
    });
    url
}

async fn pinned(fly: &Fly, id: &str, path: &str) -> Answer {
    let request = fly.unauthenticated(Method::GET, &format!("/_proxy/{APP}{path}"));
    send(request.header("fly-force-instance-id", id)).await
}

fn with_service(name: &str, service: &Value) -> Value {
    let mut body = minimal(name);
    let mut service = service.clone();
    service["internal_port"] = json!(8080);
    service["protocol"] = json!("tcp");
    body["config"]["services"] = json!([service]);
    body
}

#[tokio::test]
async fn requests_of_a_machine_go_to_the_attached_program() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("one")).await;
    assert_eq!(pinned(&fly, &id, "/").await.0, 502);
    let attachment = format!("/_sim/machines/{id}/attachment");
    assert_eq!(fly.get(&attachment).await.0, 404);
    assert_eq!(fly.put(&attachment, json!({ "url": "http://10.0.0.1" })).await.0, 400);
    assert_eq!(fly.put(&attachment, json!({ "url": program().await })).await.0, 204);
    let (status, head) = pinned(&fly, &id, "/a/b?x=1%202").await;
    let head = head.as_str().unwrap().to_lowercase();
    assert_eq!(status, 201);
    for part in ["get /a/b?x=1+2 http/1.1", "fly-region: iad", "fly-client-ip: 127.0.0.1", "fly-force-instance-id"] {
        assert!(head.contains(part), "{part}: {head}");
    }
    let url = format!("/_machine/{APP}/{id}/");
    let response = fly.unauthenticated(Method::POST, &url).body("hello").send().await.unwrap();
    assert_eq!(response.headers()["x-program"], "mine");
    assert!(response.headers().contains_key("fly-request-id"));

    fly.post(&format!("machines/{id}/stop"), Value::Null).await;
    assert_eq!(pinned(&fly, &id, "/").await.0, 503, "a stopped machine does not answer");
    assert_eq!((fly.delete(&attachment).await.0, fly.delete(&attachment).await.0), (204, 404));
}

#[tokio::test]
async fn program_is_attached_by_name_before_its_machine_exists() {
    let attachments = vec![(format!("{APP}/one"), program().await)];
    let fly = Fly::start(SimConfig { attachments, ..SimConfig::fast() }).await;
    let (one, two) = (fly.start_machine(minimal("one")).await, fly.start_machine(minimal("two")).await);
    assert_eq!((pinned(&fly, &one, "/").await.0, pinned(&fly, &two, "/").await.0), (201, 502));
    assert!(fly.sim.detach(&format!("{APP}/one")));
    assert_eq!(fly.sim.attach("a/b/c", "http://127.0.0.1"), Err(AttachError::Machine));
}

#[tokio::test]
async fn program_that_does_not_listen_is_a_bad_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("one")).await;
    fly.sim.attach(&id, &url).unwrap();
    assert_eq!(pinned(&fly, &id, "/").await, (502, json!("connection refused")));
}

#[tokio::test]
async fn request_starts_a_machine_whose_service_wants_that() {
    let fly = Fly::fast().await;
    let wanted = fly.start_machine(with_service("one", &json!({ "autostart": true }))).await;
    let other = fly.start_machine(with_service("two", &json!({ "autostart": false }))).await;
    for id in [&wanted, &other] {
        fly.sim.attach(id, &program().await).unwrap();
        fly.post(&format!("machines/{id}/stop"), Value::Null).await;
        let stopped = async || {
            let machine = fly.get(&format!("machines/{id}")).await.1;
            (if machine["state"] == "stopped" { 200 } else { 404 }, machine)
        };
        fly.until(200, stopped).await;
    }
    assert_eq!(pinned(&fly, &wanted, "/").await.0, 201);
    assert_eq!(pinned(&fly, &other, "/").await.0, 503);
}

#[tokio::test]
async fn idle_machine_is_stopped_or_suspended_and_the_last_ones_stay() {
    let fly = Fly::fast().await;
    let mut ids = Vec::new();
    for (name, service) in [
        ("stops", json!({ "autostop": "stop" })),
        ("suspends", json!({ "autostop": "suspend" })),
        ("stays", json!({ "autostop": "stop", "min_machines_running": 9 })),
    ] {
        let id = fly.start_machine(with_service(name, &service)).await;
        fly.sim.attach(&id, &program().await).unwrap();
        assert_eq!(pinned(&fly, &id, "/").await.0, 201);
        ids.push(id);
    }
    fly.sim.advance_clock(Duration::from_secs(301));
    for (id, state) in ids.iter().zip(["stopped", "suspended", "started"]) {
        let read = async || {
            let machine = fly.get(&format!("machines/{id}")).await.1;
            (if machine["state"] == state { 200 } else { 404 }, machine)
        };
        fly.until(200, read).await;
    }
}
