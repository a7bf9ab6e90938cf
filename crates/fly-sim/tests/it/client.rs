//! A client of the Machines API that hides nothing: status and body as they come.

use std::time::Duration;

use fly_sim::{FlySim, Side, SimConfig};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// The app that every test has.
pub(crate) const APP: &str = "mill";
const PATIENCE: Duration = Duration::from_secs(30);
/// Of what a test looks at while it lasts: longer than the looks take on a busy machine.
pub(crate) const A_WHILE: Duration = Duration::from_secs(3);

/// A simulator and a client of it. When it goes, no answer may have broken Fly's contract.
pub(crate) struct Fly {
    pub(crate) sim: FlySim,
    http: Client,
}

/// Status and body; the body is null when there is none and a text when it is no JSON.
pub(crate) type Answer = (u16, Value);

impl Fly {
    pub(crate) async fn start(config: SimConfig) -> Self {
        let sim = FlySim::start(config).await.unwrap();
        sim.create_app(APP).unwrap();
        Self { sim, http: Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) async fn fast() -> Self {
        Self::start(SimConfig::fast()).await
    }

    /// A request with a token; `path` below `/v1/apps/{app}` when it does not begin with `/`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/v1/apps/{APP}/{path}") };
        self.http.request(method, format!("{}{path}", self.sim.url())).bearer_auth("token")
    }

    /// A request without a token.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.sim.url()))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answered(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self.request(Method::POST, path);
        answered(if body.is_null() { request } else { request.json(&body) }).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        answered(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        answered(self.request(Method::DELETE, path)).await
    }

    /// Makes a machine that must be made; its id.
    pub(crate) async fn machine(&self, body: Value) -> String {
        let (status, machine) = self.post("machines", body).await;
        assert_eq!(status, 200, "{machine}");
        machine["id"].as_str().unwrap().to_owned()
    }

    /// Makes a machine and waits until it is started; its id.
    pub(crate) async fn started(&self, body: Value) -> String {
        let id = self.machine(body).await;
        self.reach(&id, "started").await;
        id
    }

    /// Makes a volume that must be made; its id.
    pub(crate) async fn volume(&self, name: &str) -> String {
        let (status, volume) = self.post("volumes", json!({ "name": name, "region": "iad", "size_gb": 1 })).await;
        assert_eq!(status, 200, "{volume}");
        volume["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the machine is in the state.
    pub(crate) async fn reach(&self, id: &str, state: &str) {
        let answer = self.get(&format!("machines/{id}/wait?state={state}&timeout=30")).await;
        assert_eq!(answer.0, 200, "{answer:?}");
    }

    /// Asks again until the answer has that status; the answer.
    pub(crate) async fn until(&self, status: u16, mut ask: impl AsyncFnMut() -> Answer) -> Value {
        let asking = async {
            loop {
                let answer = ask().await;
                if answer.0 == status {
                    return answer.1;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("the status should have come")
    }
}

impl Drop for Fly {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let broken: Vec<_> = self.sim.violations().into_iter().filter(|v| v.side == Side::Response).collect();
            assert_eq!(broken, [], "answers that Fly's document does not know");
        }
    }
}

/// Sends the request; status and body.
pub(crate) async fn answered(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    if text.is_empty() {
        return (status, Value::Null);
    }
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The smallest machine.
pub(crate) fn plain(name: &str) -> Value {
    json!({ "name": name, "region": "iad", "config": { "image": "registry.fly.io/img:1" } })
}

/// The smallest machine with a volume.
pub(crate) fn mounting(name: &str, volume: &str) -> Value {
    let mut body = plain(name);
    body["config"]["mounts"] = json!([{ "volume": volume, "path": "/home/gt/data" }]);
    body
}

/// Fly's error shape.
pub(crate) fn error(status: u16, text: &str) -> Answer {
    (status, json!({ "error": text }))
}
