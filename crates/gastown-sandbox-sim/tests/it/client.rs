//! A minimal client of the simulated Fly, which returns statuses and bodies unchanged.

use std::time::Duration;

use fly_sim::{FlySim, Side, SimConfig};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// The app that every simulator in these tests has.
pub(crate) const APP: &str = "mill";
const UNTIL_TIMEOUT: Duration = Duration::from_secs(30);

/// A simulator and its client. Dropping it checks that every answer matched Fly's document.
pub(crate) struct Fly {
    pub(crate) sim: FlySim,
    http: Client,
}

/// A status and a body, which is null if empty and a text if it is not JSON.
pub(crate) type Answer = (u16, Value);

impl Fly {
    pub(crate) async fn start(config: SimConfig) -> Self {
        let sim = FlySim::start(config).await.unwrap();
        sim.create_app(APP).unwrap();
        Self { sim, http: Client::builder().no_proxy().build().unwrap() }
    }

    /// Returns a request with a token. A `path` without a leading `/` is below `/v1/apps/{app}`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/v1/apps/{APP}/{path}") };
        self.http.request(method, format!("{}{path}", self.sim.url())).bearer_auth("token")
    }

    /// Returns a request without a token.
    pub(crate) fn unauthenticated(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.sim.url()))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self.request(Method::POST, path);
        send(if body.is_null() { request } else { request.json(&body) }).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Creates a machine and returns its id.
    pub(crate) async fn create_machine(&self, body: Value) -> String {
        let (status, machine) = self.post("machines", body).await;
        assert_eq!(status, 200, "{machine}");
        machine["id"].as_str().unwrap().to_owned()
    }

    /// Creates a machine, waits until it is started, and returns its id.
    pub(crate) async fn start_machine(&self, body: Value) -> String {
        let id = self.create_machine(body).await;
        self.wait_for(&id, "started").await;
        id
    }

    /// Creates a volume and returns its id.
    pub(crate) async fn create_volume(&self, name: &str) -> String {
        let (status, volume) = self.post("volumes", json!({ "name": name, "region": "iad", "size_gb": 1 })).await;
        assert_eq!(status, 200, "{volume}");
        volume["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the machine is in the state.
    pub(crate) async fn wait_for(&self, id: &str, state: &str) {
        // A wait for `stopped` needs the version.
        let version =
            self.get(&format!("machines/{id}")).await.1["instance_id"].as_str().unwrap_or_default().to_owned();
        let answer = self.get(&format!("machines/{id}/wait?state={state}&timeout=30&version={version}")).await;
        assert_eq!(answer.0, 200, "{answer:?}");
    }

    /// Repeats a call until it answers with the status, and returns the body.
    pub(crate) async fn until(&self, status: u16, mut call: impl AsyncFnMut() -> Answer) -> Value {
        let polling = async {
            loop {
                let answer = call().await;
                if answer.0 == status {
                    return answer.1;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(UNTIL_TIMEOUT, polling).await.expect("the status should have been answered in time")
    }
}

impl Drop for Fly {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let violations: Vec<_> = self.sim.violations().into_iter().filter(|v| v.side == Side::Response).collect();
            assert_eq!(violations, [], "answers that do not match Fly's document");
        }
    }
}

/// Sends a request and returns the answer.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    if text.is_empty() {
        return (status, Value::Null);
    }
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Returns the body of a minimal machine.
pub(crate) fn minimal(name: &str) -> Value {
    json!({ "name": name, "region": "iad", "config": { "image": "registry.fly.io/img:1" } })
}

/// Returns the body of a minimal machine with a volume.
pub(crate) fn mounting(name: &str, volume: &str) -> Value {
    let mut body = minimal(name);
    body["config"]["mounts"] = json!([{ "volume": volume, "path": "/home/gt/data" }]);
    body
}
