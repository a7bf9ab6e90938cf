use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{A_WHILE, Answer, Fly, answered, error, plain};

/// A request that names the lease it is made under.
async fn under(fly: &Fly, nonce: &str, method: Method, path: &str) -> Answer {
    answered(fly.request(method, path).header("fly-machine-lease-nonce", nonce)).await
}

fn nonce_of(lease: &Value) -> String {
    lease["data"]["nonce"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_lease_comes_in_an_envelope_and_is_refreshed_under_its_nonce() {
    let fly = Fly::fast().await;
    let id = fly.started(plain("town")).await;
    let path = format!("machines/{id}/lease");
    assert_eq!(fly.get(&path).await, error(404, "lease not found"));
    let (status, lease) = fly.post(&path, json!({ "ttl": 30, "description": "work" })).await;
    assert_eq!((status, &lease["status"], &lease["data"]["description"]), (201, &json!("success"), &json!("work")));
    let nonce = nonce_of(&lease);
    assert!(lease["data"]["expires_at"].is_i64());
    let (status, refreshed) = under(&fly, &nonce, Method::POST, &format!("{path}?ttl=60")).await;
    assert_eq!((status, nonce_of(&refreshed)), (201, nonce.clone()));
    assert!(refreshed["data"]["expires_at"].as_i64() > lease["data"]["expires_at"].as_i64());
    assert!(fly.get(&path).await.1["data"].get("nonce").is_none(), "viewing gives no nonce");
    let released = under(&fly, &nonce, Method::DELETE, &path).await;
    assert_eq!(released, (200, json!({ "status": "success", "data": { "ok": true } })));
    assert_eq!(under(&fly, &nonce, Method::DELETE, &path).await, error(404, "lease not found"));
}

#[tokio::test]
async fn a_lease_keeps_others_from_changing_the_machine() {
    let fly = Fly::fast().await;
    let id = fly.started(plain("town")).await;
    let (_, lease) = fly.post(&format!("machines/{id}/lease"), json!({ "ttl": 30 })).await;
    let nonce = nonce_of(&lease);
    for path in ["stop", "restart", "suspend", "cordon", "uncordon", "lease"] {
        let (status, refusal) = fly.post(&format!("machines/{id}/{path}"), json!({})).await;
        assert_eq!(status, 409, "{path}");
        let text = refusal["error"].as_str().unwrap();
        assert!(text.starts_with(&format!("machine ID {id} lease currently held by ")), "{text}");
        assert!(text.contains(", expires at 20"), "{text}");
    }
    assert_eq!(fly.post(&format!("machines/{id}"), plain("town")).await.0, 409);
    assert_eq!(fly.delete(&format!("machines/{id}?force=true")).await.0, 409);
    assert_eq!(fly.post(&format!("machines/{id}/metadata/a"), json!({ "value": "b" })).await.0, 204);
    assert_eq!(under(&fly, "wrong", Method::POST, &format!("machines/{id}/stop")).await.0, 409);
    assert_eq!(under(&fly, &nonce, Method::POST, &format!("machines/{id}/stop")).await.0, 200);
}

#[tokio::test]
async fn a_lease_runs_out() {
    let fly = Fly::fast().await;
    let id = fly.started(plain("town")).await;
    fly.post(&format!("machines/{id}/lease"), json!({ "ttl": A_WHILE.as_secs() })).await;
    let stop = format!("machines/{id}/stop");
    assert_eq!(fly.post(&stop, json!({})).await.0, 409);
    fly.until(200, async || fly.post(&stop, json!({})).await).await;
}

#[tokio::test]
async fn a_machine_can_be_born_leased() {
    let fly = Fly::fast().await;
    let mut body = plain("town");
    body["lease_ttl"] = json!(30);
    let (_, machine) = fly.post("machines", body).await;
    let (id, nonce) = (machine["id"].as_str().unwrap(), machine["nonce"].as_str().unwrap());
    fly.reach(id, "started").await;
    assert_eq!(fly.post(&format!("machines/{id}/stop"), json!({})).await.0, 409);
    assert_eq!(under(&fly, nonce, Method::POST, &format!("machines/{id}/stop")).await.0, 200);
}
