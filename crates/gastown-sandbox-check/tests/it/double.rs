//! A sandbox image in this process, which is right apart from one fault.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use chrono::DateTime;
use gastown_sandbox_check::{Ending, Environment, Image, ImageError, Running, Stopped};
use gastown_secrets::{EnvValue, OpenError, REQUIRED_VARIABLES, SandboxKey, open_env};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::fault::Fault;
use crate::routes;

/// An image with one volume.
#[derive(Default)]
pub(crate) struct Double {
    fault: Option<Fault>,
    volume: Arc<Mutex<Volume>>,
    boots: AtomicUsize,
}

/// The rigs, and the names whose files were left behind.
#[derive(Default)]
pub(crate) struct Volume {
    pub(crate) rigs: Vec<Value>,
    pub(crate) blocked: Vec<String>,
}

/// A sandbox that serves.
pub(crate) struct Sandbox {
    pub(crate) fault: Option<Fault>,
    pub(crate) is_first_boot: bool,
    pub(crate) town: String,
    pub(crate) key: String,
    pub(crate) token: Mutex<String>,
    pub(crate) volume: Arc<Mutex<Volume>>,
    pub(crate) health_calls: AtomicUsize,
    pub(crate) syncs: AtomicUsize,
}

impl Sandbox {
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

impl Double {
    pub(crate) fn with(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Opens the environment as the API demands, apart from the fault.
    fn opened(&self, environment: &Environment) -> Result<BTreeMap<String, String>, String> {
        let mut pairs: BTreeMap<String, String> =
            environment.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut keys = Vec::new();
        let previous = (!self.has(Fault::ForgetsPreviousKey)).then_some("SANDBOX_PRIVATE_KEY_PREVIOUS");
        for name in std::iter::once("SANDBOX_PRIVATE_KEY").chain(previous) {
            match pairs.remove(name).filter(|value| !value.is_empty()) {
                Some(key) => keys.push(SandboxKey::parse(&SecretString::from(key)).map_err(|error| error.to_string())?),
                None if keys.is_empty() => return Err("no private key".to_owned()),
                None => {}
            }
        }
        if self.has(Fault::OpensOnlyItsOwn) {
            pairs.remove("OTHER_SECRET");
        }
        if self.has(Fault::BootsWithUnknownVersion) {
            for value in pairs.values_mut() {
                *value = value.replacen("nacl:v2:", "nacl:v1:", 1);
            }
        }
        let token = pairs.get("KILO_JWT").cloned().unwrap_or_default();
        let tolerated = match keys[0].open(&token) {
            Err(OpenError::UnknownKey { .. }) => self.has(Fault::BootsWithForeignValue),
            Err(OpenError::Tampered) => self.has(Fault::BootsWithAlteredValue),
            _ => false,
        };
        if tolerated {
            pairs.insert("KILO_JWT".to_owned(), "unopened".to_owned());
        }
        let opened = open_env(&keys, pairs).map_err(|error| error.to_string())?;
        let text = |value| match value {
            EnvValue::Opened(secret) => secret.expose_secret().to_owned(),
            EnvValue::Plain(text) => text,
        };
        let opened: BTreeMap<_, _> = opened.into_iter().map(|(name, value)| (name, text(value))).collect();
        let spared = self.has(Fault::BootsWithoutBucket).then_some("R2_BUCKET");
        let missing = |name: &&str| Some(*name) != spared && opened.get(*name).is_none_or(String::is_empty);
        match REQUIRED_VARIABLES.iter().find(|name| missing(name)) {
            Some(name) => Err(format!("{name} is missing")),
            None => Ok(opened),
        }
    }
}

#[async_trait]
impl Image for Double {
    async fn boot(&self, environment: &Environment) -> Result<Box<dyn Running>, ImageError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let is_first_boot = self.boots.fetch_add(1, Ordering::Relaxed) == 0;
        let ignores_sigint = self.has(Fault::IgnoresSigint);
        let opened = match self.opened(environment) {
            Ok(opened) => opened,
            Err(why) => return Ok(Box::new(Process { url, why: Some(why), tasks: Vec::new(), ignores_sigint })),
        };
        let restores = self.has(Fault::RestoresOverData) && opened.contains_key("R2_RESTORE");
        if restores || self.has(Fault::VolumeIsEmptied) {
            self.volume.lock().unwrap().rigs.clear();
        }
        let sandbox = Arc::new(Sandbox {
            fault: self.fault,
            is_first_boot,
            town: opened["TOWN_ID"].clone(),
            key: opened["INTERNAL_API_KEY"].clone(),
            token: Mutex::new(opened["KILO_JWT"].clone()),
            volume: Arc::clone(&self.volume),
            health_calls: AtomicUsize::default(),
            syncs: AtomicUsize::default(),
        });
        let home = tokio::spawn(call_home(Arc::clone(&sandbox), opened["GASTOWN_CLOUD_URL"].clone()));
        let mut tasks = vec![AbortOnDropHandle::new(home)];
        let router = routes::of(sandbox);
        if self.has(Fault::OneConnectionAtATime) {
            let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = inner.local_addr().unwrap();
            tasks.push(AbortOnDropHandle::new(tokio::spawn(async move { drop(axum::serve(inner, router).await) })));
            tasks.push(AbortOnDropHandle::new(tokio::spawn(one_at_a_time(listener, at))));
        } else {
            tasks.push(AbortOnDropHandle::new(tokio::spawn(async move { drop(axum::serve(listener, router).await) })));
        }
        Ok(Box::new(Process { url, why: None, tasks, ignores_sigint }))
    }
}

/// Passes connections on, one after the other.
async fn one_at_a_time(listener: TcpListener, at: std::net::SocketAddr) {
    loop {
        let (mut outer, _) = listener.accept().await.unwrap();
        let mut inner = TcpStream::connect(at).await.unwrap();
        drop(tokio::io::copy_bidirectional(&mut outer, &mut inner).await);
    }
}

/// Sends heartbeats, and requests one new token.
async fn call_home(sandbox: Arc<Sandbox>, home: String) {
    // Its creation is expensive.
    static CLIENT: LazyLock<reqwest::Client> =
        LazyLock::new(|| reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap());
    let body = json!({ "townId": sandbox.town });
    let send = async |procedure: &str, has_key: bool, body: &Value| {
        let request = CLIENT.post(format!("{home}/trpc/gastown.{procedure}")).json(body);
        let request = if has_key { request.header("x-internal-api-key", &sandbox.key) } else { request };
        request.send().await
    };
    let mut refreshed = sandbox.has(Fault::NoRefresh);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if !sandbox.has(Fault::NoHeartbeat) {
            let mut body = if sandbox.has(Fault::HeartbeatWithoutTown) { json!({ "town": 1 }) } else { body.clone() };
            body["activePolecats"] = if sandbox.has(Fault::HeartbeatReportsText) { json!("two") } else { json!(2) };
            body["gtRunning"] = json!(true);
            let answer = send("heartbeat", !sandbox.has(Fault::HeartbeatWithoutKey), &body).await;
            let is_ok = answer.is_ok_and(|answer| answer.status().is_success());
            if !is_ok && sandbox.has(Fault::HeartbeatsEndAfterError) {
                refresh(&sandbox, send("refreshToken", true, &body).await).await;
                return;
            }
        }
        if !refreshed {
            refreshed = true;
            let answer = send("refreshToken", !sandbox.has(Fault::RefreshWithoutKey), &body).await;
            refresh(&sandbox, answer).await;
        }
    }
}

async fn refresh(sandbox: &Sandbox, answer: reqwest::Result<reqwest::Response>) {
    let Ok(answer) = answer else { return };
    let answer: Value = answer.json().await.unwrap();
    let Some(token) = answer.pointer("/result/data/token").and_then(Value::as_str) else { return };
    if !sandbox.has(Fault::NewTokenIsIgnored) {
        token.clone_into(&mut sandbox.token.lock().unwrap());
    }
}

/// Returns the expiry of a token as RFC 3339.
pub(crate) fn expiry(token: &str) -> Option<String> {
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(DateTime::from_timestamp(claims["exp"].as_i64()?, 0)?.to_rfc3339())
}

struct Process {
    url: Url,
    why: Option<String>,
    tasks: Vec<AbortOnDropHandle<()>>,
    ignores_sigint: bool,
}

#[async_trait]
impl Running for Process {
    fn url(&self) -> &Url {
        &self.url
    }

    async fn ended(&mut self) -> Ending {
        match self.why.take() {
            Some(why) => Ending::Failure(why),
            None => std::future::pending().await,
        }
    }

    async fn stop(self: Box<Self>, _limit: Duration) -> Stopped {
        drop(self.tasks);
        if self.ignores_sigint { Stopped::Killed } else { Stopped::InTime }
    }
}
