//! The sandbox of the simulator keeps every rule.

use std::time::Duration;

use async_trait::async_trait;
use fly_sim::{FlySim, SimConfig};
use gastown_sandbox_check::{Ending, Environment, Image, ImageError, Outcome, Running, Stopped};
use gastown_sandbox_sim::SimulatedSandboxes;
use reqwest::{Client, Method};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::Url;

use crate::stage::{check, checker};

const APP: &str = "mill";
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A machine for each boot, with one volume.
pub(crate) struct Simulated {
    sim: FlySim,
    client: Client,
    volume: OnceCell<Value>,
}

impl Simulated {
    pub(crate) async fn start() -> Self {
        let workload = SimulatedSandboxes::default().with_heartbeat(Duration::from_millis(20)).into_workload();
        let config = SimConfig { workload, ..SimConfig::fast() };
        let sim = FlySim::start(config).await.unwrap();
        sim.create_app(APP).unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { sim, client, volume: OnceCell::new() }
    }
}

/// The API of the simulated Fly.
#[derive(Clone)]
struct Fly {
    client: Client,
    url: String,
}

impl Fly {
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let request = self.client.request(method, format!("{}/v1/apps/{APP}/{path}", self.url)).bearer_auth("x");
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.unwrap().json().await.unwrap_or_default()
    }
}

async fn until_in(fly: &Fly, machine: &str, states: &[&str]) {
    loop {
        let shown = fly.call(Method::GET, &format!("machines/{machine}"), None).await;
        if states.contains(&shown["state"].as_str().unwrap()) {
            return;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[async_trait]
impl Image for Simulated {
    async fn boot(&self, environment: &Environment) -> Result<Box<dyn Running>, ImageError> {
        let fly = Fly { client: self.client.clone(), url: self.sim.url() };
        let new = json!({ "name": "town", "region": "iad", "size_gb": 1 });
        let volume = self.volume.get_or_init(async || fly.call(Method::POST, "volumes", Some(new)).await).await;
        let mut env = serde_json::Map::new();
        for name in ["SANDBOX_PRIVATE_KEY", "SANDBOX_PRIVATE_KEY_PREVIOUS"] {
            fly.call(Method::DELETE, &format!("secrets/{name}"), None).await;
        }
        for (name, value) in environment.pairs() {
            if name.starts_with("SANDBOX_PRIVATE_KEY") {
                self.sim.set_app_secret(APP, name, SecretString::from(value)).unwrap();
            } else {
                env.insert(name.to_owned(), json!(value));
            }
        }
        let mounts = json!([{ "volume": volume["id"], "path": "/home/gt/data" }]);
        let config = json!({ "image": "town:1", "env": env, "mounts": mounts, "restart": { "policy": "no" } });
        let body = json!({ "region": "iad", "config": config });
        // A volume stays attached for a while after its machine was deleted.
        let machine = loop {
            let created = fly.call(Method::POST, "machines", Some(body.clone())).await;
            match created["id"].as_str() {
                Some(id) => break id.to_owned(),
                None => tokio::time::sleep(POLL_INTERVAL).await,
            }
        };
        // Until then, the proxy answers in place of the sandbox.
        until_in(&fly, &machine, &["started", "stopped"]).await;
        let url = self.sim.machine_url_template().replace("{app}", APP).replace("{machine_id}", &machine);
        Ok(Box::new(Machine { fly, url: url.parse().unwrap(), id: machine }))
    }
}

struct Machine {
    fly: Fly,
    url: Url,
    id: String,
}

#[async_trait]
impl Running for Machine {
    fn url(&self) -> &Url {
        &self.url
    }

    async fn ended(&mut self) -> Ending {
        until_in(&self.fly, &self.id, &["stopped"]).await;
        let shown = self.fly.call(Method::GET, &format!("machines/{}", self.id), None).await;
        let exit = shown["events"].as_array().unwrap().iter().find(|event| event["type"] == "exit").unwrap();
        match exit["request"]["exit_event"]["exit_code"].as_i64() {
            Some(0) => Ending::Success,
            code => Ending::Failure(format!("exit code {code:?}")),
        }
    }

    async fn stop(self: Box<Self>, limit: Duration) -> Stopped {
        self.fly.call(Method::POST, &format!("machines/{}/stop", self.id), Some(json!({}))).await;
        let stopped = until_in(&self.fly, &self.id, &["stopped", "destroyed"]);
        let in_time = tokio::time::timeout(limit, stopped).await.is_ok();
        self.fly.call(Method::DELETE, &format!("machines/{}?force=true", self.id), None).await;
        if in_time { Stopped::InTime } else { Stopped::Killed }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sandbox_of_the_simulator_keeps_every_rule() {
    let report = check(&checker(), &Simulated::start().await).await;
    for finding in &report.findings {
        assert_eq!(finding.outcome, Outcome::Passed, "{}", finding.rule.name);
    }
}
