use std::time::Duration;

use chrono::DateTime;
use fly_sim::{Effect, Fault, SimConfig};
use gastown_sandbox_sim::{SANDBOX_HEALTH, SANDBOX_SYNC, SimulatedSandboxes};
use gastown_secrets::SandboxKey;
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::client::{APP, Answer, Fly, mounting, send};

const KEY: &str = "the town's internal key";
/// A token that expires at second 1900000000.
const TOKEN: &str = "e30.eyJleHAiOjE5MDAwMDAwMDB9.c2ln";

/// A simulator with a volume, the sandbox's private key as an app secret, and the environment of a town.
struct Town {
    fly: Fly,
    volume: String,
    env: Value,
}

impl Town {
    async fn prepared(sandboxes: SimulatedSandboxes, config: SimConfig) -> Self {
        let fly = Fly::start(SimConfig { workload: sandboxes.into_workload(), ..config }).await;
        let key = SandboxKey::generate();
        fly.sim.set_app_secret(APP, "SANDBOX_PRIVATE_KEY", key.to_secret()).unwrap();
        let seal = |plain: &str| key.public_key().seal(&SecretString::from(plain)).unwrap().to_text();
        let env = json!({
            "KILO_API_URL": "https://gateway.example", "KILO_JWT": seal(TOKEN), "TOWN_ID": "town-1",
            "R2_BUCKET": "bucket", "R2_ACCESS_KEY": seal("access"), "INTERNAL_API_KEY": seal(KEY),
        });
        let volume = fly.create_volume("data").await;
        Self { fly, volume, env }
    }

    fn config(&self) -> Value {
        let mut body = mounting("town", &self.volume);
        body["config"]["env"] = self.env.clone();
        body
    }

    fn request(&self, method: Method, id: &str, path: &str) -> RequestBuilder {
        let url = self.fly.sim.machine_url_template().replace("{app}", APP).replace("{machine_id}", id);
        let path = format!("{}{path}", url.strip_prefix(&self.fly.sim.url()).unwrap());
        self.fly.unauthenticated(method, &path).header("x-internal-api-key", KEY)
    }

    async fn call(&self, method: Method, id: &str, path: &str) -> Answer {
        send(self.request(method, id, path)).await
    }

    async fn add_rig(&self, id: &str, name: &str, repo_url: &str) -> Answer {
        let rig = json!({ "name": name, "repoUrl": repo_url, "branch": "main" });
        send(self.request(Method::POST, id, "/rigs").json(&rig)).await
    }

    /// Waits until the sandbox serves.
    async fn wait_until_serving(&self, id: &str) {
        self.fly.until(200, async || self.call(Method::GET, id, "/health").await).await;
    }

    async fn running() -> (Self, String) {
        let town = Self::prepared(SimulatedSandboxes::default(), SimConfig::fast()).await;
        let id = town.fly.start_machine(town.config()).await;
        town.wait_until_serving(&id).await;
        (town, id)
    }
}

#[tokio::test]
async fn sandbox_decrypts_its_environment_and_reports_health() {
    let (town, id) = Town::running().await;
    let (status, health) = town.call(Method::GET, &id, "/health").await;
    let want = json!({
        "status": "ok", "townId": "town-1", "version": "registry.fly.io/img:1",
        "tokenExpiresAt": "2030-03-17T17:46:40.000Z",
    });
    assert_eq!((status, health), (200, want));
    let pinned = town.fly.unauthenticated(Method::GET, "/_proxy/mill/health").header("x-internal-api-key", KEY);
    assert_eq!(send(pinned.header("fly-force-instance-id", &id)).await.0, 200);
}

#[tokio::test]
async fn sandbox_refuses_calls_without_its_key() {
    let (town, id) = Town::running().await;
    for (method, path) in [
        (Method::GET, "/health"),
        (Method::GET, "/rigs"),
        (Method::POST, "/rigs"),
        (Method::DELETE, "/rigs/a"),
        (Method::POST, "/sync"),
    ] {
        let url = format!("/_machine/{APP}/{id}{path}");
        for request in [
            town.fly.unauthenticated(method.clone(), &url),
            town.fly.unauthenticated(method.clone(), &url).header("x-internal-api-key", "wrong"),
        ] {
            let (status, body) = send(request).await;
            assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthorized")), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn rigs_are_added_once_and_removed() {
    let (town, id) = Town::running().await;
    let url = "https://example.org/a/b.git";
    let rig = json!({ "name": "alpha", "repoUrl": url, "branch": "main" });
    assert_eq!(town.add_rig(&id, "alpha", url).await, (201, rig.clone()));
    assert_eq!(town.add_rig(&id, "alpha", url).await.0, 200);
    let (status, refusal) = town.add_rig(&id, "alpha", "https://example.org/other").await;
    assert_eq!((status, &refusal["error"]["code"]), (409, &json!("rig_exists")));
    assert_eq!(town.call(Method::GET, &id, "/rigs").await, (200, json!({ "rigs": [rig] })));
    assert_eq!(town.call(Method::DELETE, &id, "/rigs/alpha").await, (204, Value::Null));
    let (status, refusal) = town.call(Method::DELETE, &id, "/rigs/alpha").await;
    assert_eq!((status, &refusal["error"]["code"]), (404, &json!("rig_not_found")));
}

#[tokio::test]
async fn invalid_rigs_are_refused_and_unpushed_ones_need_force() {
    let (town, id) = Town::running().await;
    let (status, refusal) = town.add_rig(&id, "bad", "https://example.org/refused/x").await;
    assert_eq!((status, &refusal["error"]["code"]), (422, &json!("rig_refused")));
    for (name, url) in [("a-b", "https://example.org/x"), ("mayor", "https://example.org/x"), ("ok", "file:///etc")] {
        assert_eq!(town.add_rig(&id, name, url).await.0, 422, "{name} {url}");
    }
    assert_eq!(town.add_rig(&id, "busy", "https://example.org/unpushed/x").await.0, 201);
    let (status, refusal) = town.call(Method::DELETE, &id, "/rigs/busy").await;
    assert_eq!((status, &refusal["error"]["code"]), (409, &json!("rig_in_use")));
    assert_eq!(refusal["error"]["inTheWay"].as_array().unwrap().len(), 1);
    assert_eq!(town.call(Method::DELETE, &id, "/rigs/busy?force=true").await.0, 204);
}

#[tokio::test]
async fn rigs_survive_stop_and_update_and_are_deleted_with_volume() {
    let (town, id) = Town::running().await;
    town.add_rig(&id, "alpha", "https://example.org/a").await;
    let (status, sync) = town.call(Method::POST, &id, "/sync").await;
    assert_eq!(status, 200);
    assert!(sync["syncedAt"].as_str().unwrap().ends_with('Z'));

    town.fly.post(&format!("machines/{id}/stop"), json!(null)).await;
    town.fly.wait_for(&id, "stopped").await;
    assert_eq!(town.call(Method::GET, &id, "/health").await.0, 503, "a stopped machine does not answer");
    town.fly.post(&format!("machines/{id}/start"), json!(null)).await;
    town.wait_until_serving(&id).await;
    assert_eq!(town.call(Method::GET, &id, "/rigs").await.1["rigs"][0]["name"], "alpha");

    town.fly.post(&format!("machines/{id}"), town.config()).await;
    town.fly.wait_for(&id, "started").await;
    town.wait_until_serving(&id).await;
    assert_eq!(town.call(Method::GET, &id, "/rigs").await.1["rigs"][0]["name"], "alpha");
    let cat = json!({ "command": ["cat", "/home/gt/data/rigs.json"] });
    let (_, said) = town.fly.post(&format!("machines/{id}/exec"), cat).await;
    assert!(said["stdout"].as_str().unwrap().contains("alpha"));

    town.fly.delete(&format!("machines/{id}?force=true")).await;
    town.fly.until(200, async || town.fly.delete(&format!("volumes/{}", town.volume)).await).await;
    assert_eq!(town.call(Method::GET, &id, "/health").await.0, 502);
}

#[tokio::test]
async fn sandbox_with_wrong_key_never_serves() {
    let mut town = Town::prepared(SimulatedSandboxes::default(), SimConfig::fast()).await;
    let other = SandboxKey::generate();
    let sealed = other.public_key().seal(&SecretString::from(TOKEN)).unwrap().to_text();
    town.env["KILO_JWT"] = json!(sealed);
    let id = town.fly.create_machine(town.config()).await;
    town.fly.wait_for(&id, "stopped").await;
    let (_, machine) = town.fly.get(&format!("machines/{id}")).await;
    let exit = &machine["events"].as_array().unwrap().iter().find(|event| event["type"] == "exit").unwrap()["request"];
    assert_eq!((&exit["exit_event"]["exit_code"], &exit["restart_count"]), (&json!(1), &json!(10)));
    assert!(town.fly.sim.calls().iter().all(|call| call.call != SANDBOX_HEALTH));
    assert_eq!(town.call(Method::GET, &id, "/health").await.0, 503);
}

#[tokio::test]
async fn sandbox_without_a_required_variable_never_serves() {
    let mut town = Town::prepared(SimulatedSandboxes::default(), SimConfig::fast()).await;
    town.env.as_object_mut().unwrap().remove("R2_BUCKET");
    let mut body = town.config();
    body["config"]["restart"] = json!({ "policy": "no" });
    let id = town.fly.create_machine(body).await;
    town.fly.wait_for(&id, "stopped").await;
}

#[tokio::test]
async fn machine_keeps_secrets_of_its_version() {
    let (town, id) = Town::running().await;
    let other = SandboxKey::generate().to_secret();
    town.fly.sim.set_app_secret(APP, "SANDBOX_PRIVATE_KEY", SecretString::from(other.expose_secret())).unwrap();
    town.fly.post(&format!("machines/{id}/restart"), json!(null)).await;
    town.wait_until_serving(&id).await;
    town.fly.post(&format!("machines/{id}"), town.config()).await;
    town.fly.wait_for(&id, "stopped").await;
}

#[tokio::test]
async fn fault_can_drop_a_sandbox_request() {
    let (town, id) = Town::running().await;
    town.fly.sim.inject(Fault::at(SANDBOX_SYNC, Effect::DropRequest));
    assert!(town.request(Method::POST, &id, "/sync").send().await.is_err());
    assert_eq!(town.call(Method::POST, &id, "/sync").await.0, 200);
}

/// Accepts one request with a JSON body, answers it, and returns the request.
async fn accept_request(cloud: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = tokio::time::timeout(Duration::from_secs(10), cloud.accept()).await.unwrap().unwrap();
    let mut request = String::new();
    while !request.ends_with('}') {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "{request}");
        request += &String::from_utf8_lossy(&part[..read]);
    }
    let length = answer.len();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
    request
}

#[tokio::test]
async fn sandbox_sends_heartbeat_and_refreshes_token_before_expiry() {
    let cloud = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let one_hour_before_expiry = DateTime::from_timestamp(1_900_000_000 - 3600, 0);
    let sandboxes = SimulatedSandboxes::default().with_heartbeat(Duration::from_millis(20));
    let config = SimConfig { epoch: one_hour_before_expiry, ..SimConfig::fast() };
    let mut town = Town::prepared(sandboxes, config).await;
    town.env["GASTOWN_CLOUD_URL"] = json!(format!("http://{}", cloud.local_addr().unwrap()));
    let id = town.fly.start_machine(town.config()).await;

    let heartbeat = accept_request(&cloud, "{}").await;
    assert!(heartbeat.starts_with("POST /trpc/gastown.heartbeat HTTP/1.1"), "{heartbeat}");
    assert!(heartbeat.contains(&format!("x-internal-api-key: {KEY}")), "{heartbeat}");
    let body: Value = serde_json::from_str(heartbeat.rsplit("\r\n").next().unwrap()).unwrap();
    assert_eq!(
        (&body["townId"], &body["gtRunning"], &body["activePolecats"]),
        (&json!("town-1"), &json!(true), &json!(0))
    );
    let answer = json!({ "result": { "data": { "token": "e30.eyJleHAiOjIwMDAwMDAwMDB9.c2ln" } } });
    let refresh = accept_request(&cloud, &answer.to_string()).await;
    assert!(refresh.starts_with("POST /trpc/gastown.refreshToken HTTP/1.1"), "{refresh}");
    assert!(refresh.contains(&format!("x-internal-api-key: {KEY}")), "{refresh}");

    let renewed = async || {
        let (_, health) = town.call(Method::GET, &id, "/health").await;
        (if health["tokenExpiresAt"] == "2033-05-18T03:33:20.000Z" { 200 } else { 404 }, health)
    };
    town.fly.until(200, renewed).await;
}
