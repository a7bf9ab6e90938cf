use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Fly, OBSERVABLE, error, minimal, send};

/// Sends a request with the nonce of a lease.
async fn send_under(fly: &Fly, nonce: &str, method: Method, path: &str) -> Answer {
    send(fly.request(method, path).header("fly-machine-lease-nonce", nonce)).await
}

fn nonce_of(lease: &Value) -> String {
    lease["data"]["nonce"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn lease_has_an_envelope_and_is_extended_under_its_nonce() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let path = format!("machines/{id}/lease");
    assert_eq!(fly.get(&path).await, error(404, "lease not found"));
    let (status, lease) = fly.post(&path, json!({ "ttl": 30, "description": "work" })).await;
    assert_eq!((status, &lease["status"], &lease["data"]["description"]), (201, &json!("success"), &json!("work")));
    let nonce = nonce_of(&lease);
    assert!(lease["data"]["expires_at"].is_i64());
    let (status, refreshed) = send_under(&fly, &nonce, Method::POST, &format!("{path}?ttl=60")).await;
    assert_eq!((status, nonce_of(&refreshed)), (201, nonce.clone()));
    assert!(refreshed["data"]["expires_at"].as_i64() > lease["data"]["expires_at"].as_i64());
    assert!(fly.get(&path).await.1["data"].get("nonce").is_none(), "a read has no nonce");
    let released = send_under(&fly, &nonce, Method::DELETE, &path).await;
    assert_eq!(released, (200, json!({ "status": "success", "data": { "ok": true } })));
    assert_eq!(send_under(&fly, &nonce, Method::DELETE, &path).await, error(404, "lease not found"));
}

#[tokio::test]
async fn lease_blocks_changes_without_its_nonce() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let (_, lease) = fly.post(&format!("machines/{id}/lease"), json!({ "ttl": 30 })).await;
    let nonce = nonce_of(&lease);
    for path in ["stop", "restart", "suspend", "cordon", "uncordon", "lease"] {
        let (status, refusal) = fly.post(&format!("machines/{id}/{path}"), json!({})).await;
        assert_eq!(status, 409, "{path}");
        let text = refusal["error"].as_str().unwrap();
        assert!(text.starts_with(&format!("machine ID {id} lease currently held by ")), "{text}");
        assert!(text.contains(", expires at 20"), "{text}");
    }
    assert_eq!(fly.post(&format!("machines/{id}"), minimal("town")).await.0, 409);
    assert_eq!(fly.delete(&format!("machines/{id}?force=true")).await.0, 409);
    assert_eq!(fly.post(&format!("machines/{id}/metadata/a"), json!({ "value": "b" })).await.0, 204);
    assert_eq!(send_under(&fly, "wrong", Method::POST, &format!("machines/{id}/stop")).await.0, 409);
    assert_eq!(send_under(&fly, &nonce, Method::POST, &format!("machines/{id}/stop")).await.0, 200);
}

#[tokio::test]
async fn lease_expires() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    fly.post(&format!("machines/{id}/lease"), json!({ "ttl": OBSERVABLE.as_secs() })).await;
    let stop = format!("machines/{id}/stop");
    assert_eq!(fly.post(&stop, json!({})).await.0, 409);
    fly.until(200, async || fly.post(&stop, json!({})).await).await;
}

#[tokio::test]
async fn machine_can_be_created_with_lease() {
    let fly = Fly::fast().await;
    let mut body = minimal("town");
    body["lease_ttl"] = json!(30);
    let (_, machine) = fly.post("machines", body).await;
    let (id, nonce) = (machine["id"].as_str().unwrap(), machine["nonce"].as_str().unwrap());
    fly.wait_for(id, "started").await;
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!({})).await.0, 409);
    assert_eq!(send_under(&fly, nonce, Method::POST, &format!("machines/{id}/stop")).await.0, 200);
}
