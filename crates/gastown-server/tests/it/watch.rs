//! Watching a town over server-sent events: every step arrives once, whatever breaks in between.

use std::collections::BTreeMap;
use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::client::http;
use crate::stage::{ALICE, BOB, Setup, Stage, TIMEOUT, until};
use crate::typescript::{folder, install};

on_both! {
    watcher_that_reconnects_sees_every_step_once,
    official_client_sees_every_step_although_its_replica_is_replaced,
    watched_list_follows_every_town_of_its_user_and_no_other,
}

/// The steps of an undisturbed create.
const CREATE: [&str; 4] = ["ensure_volume", "ensure_machine", "await_on", "settle_sandbox"];

/// Slows each step of a create down, so that a watcher can do something in between.
fn slow(stage: &Stage) {
    for call in [Call::CreateVolume, Call::CreateMachine, Call::Wait] {
        stage.sim.inject(Fault::at(call, Effect::Delay { millis: 700 }));
    }
}

/// Requests a create, and returns the town once it is accepted.
async fn creating(stage: &Stage) -> Uuid {
    let _answered_later = stage.spawn_call(ALICE, "createTown", json!({ "townName": "mill" }));
    until("the town is accepted", async || !stage.rows.towns().await.is_empty()).await;
    stage.rows.towns().await.remove(0).id
}

/// An open stream, with what has arrived of it.
struct Watch {
    answer: Response,
    text: String,
}

impl Watch {
    async fn open(stage: &Stage, replica: usize, town: Uuid, last: Option<&str>) -> Self {
        let request = http().get(format!("{}/trpc/gastown.watchTown", stage.replicas[replica].url));
        let request = request.query(&[("input", json!({ "townId": town }).to_string())]);
        Self::send(request.bearer_auth(stage.token(ALICE)), last).await
    }

    /// Watches the list of alice.
    async fn open_list(stage: &Stage, replica: usize, last: Option<&str>) -> Self {
        let request = http().get(format!("{}/trpc/gastown.watchTowns", stage.replicas[replica].url));
        Self::send(request.bearer_auth(stage.token(ALICE)), last).await
    }

    async fn send(request: RequestBuilder, last: Option<&str>) -> Self {
        let request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// Returns the next value with its id. `None`: the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                assert!(!event.contains("serialized-error"), "{event}");
                if let Some((data, id)) = event.strip_prefix("data: ").and_then(|event| event.split_once("\nid: ")) {
                    return Some((id.to_owned(), serde_json::from_str(data).unwrap()));
                }
            }
            let part = timeout(TIMEOUT, self.answer.chunk()).await.expect("no event and no ping").unwrap()?;
            self.text.push_str(std::str::from_utf8(&part).unwrap());
        }
    }
}

fn steps_of(values: &[Value]) -> Vec<&str> {
    values.iter().filter_map(|value| value["step"].as_str()).collect()
}

async fn watcher_that_reconnects_sees_every_step_once(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.add_replica().await;
    slow(&stage);
    let town = creating(&stage).await;
    // Each connection is dropped after a step, and the next one goes to the other replica.
    let (mut values, mut last, mut connections) = (Vec::new(), None::<String>, 0);
    while values.last().is_none_or(|value: &Value| value["change"] != "ended") {
        let mut watch = Watch::open(&stage, connections % 2, town, last.as_deref()).await;
        connections += 1;
        loop {
            let (id, value) = watch.next().await.unwrap();
            last = Some(id);
            let is_turn = value["change"] == "step" || value["change"] == "ended";
            values.push(value);
            if is_turn {
                break;
            }
        }
    }
    assert!(connections >= 3, "{connections}");
    assert_eq!(steps_of(&values), CREATE, "{values:#?}");
    assert_eq!(values.iter().filter(|value| value["change"] == "present").count(), 1, "only the first one begins anew");
    assert_eq!(values.last().unwrap()["message"], "The town was created");
    assert!(values.iter().all(|value| value["message"].as_str().is_some_and(|text| !text.is_empty())));

    // A watcher of the other replica hears of a stop long before the next poll, and of the end of the town.
    let mut watch = Watch::open(&stage, 1, town, None).await;
    assert_eq!(watch.next().await.unwrap().1["status"], "running");
    stage.on_town("stopTown", town).await.unwrap();
    let asked = Instant::now();
    let mut messages = Vec::new();
    while messages.last().is_none_or(|message: &String| message != "The town was stopped") {
        messages.push(watch.next().await.unwrap().1["message"].as_str().unwrap().to_owned());
    }
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
    stage.on_town("destroyTown", town).await.unwrap();
    let mut changes = Vec::new();
    while let Some((_, value)) = watch.next().await {
        changes.push(value["change"].clone());
    }
    assert_eq!(changes.last(), Some(&json!("gone")), "{changes:?}");
    stage
}

async fn official_client_sees_every_step_although_its_replica_is_replaced(setup: Setup) -> Stage {
    let mut stage = Setup { keeps_port: true, ..setup }.start().await;
    tokio::task::spawn_blocking(install).await.unwrap();
    stage.add_replica().await;
    slow(&stage);
    let _answered_later = {
        let (url, token) = (stage.replicas[1].url.clone(), stage.token(ALICE).to_owned());
        tokio::spawn(async move { crate::client::call(&url, &token, "createTown", json!({"townName": "mill"})).await })
    };
    until("the town is accepted", async || !stage.rows.towns().await.is_empty()).await;
    let town = stage.rows.towns().await.remove(0).id.to_string();
    let watching = watch_with_node(&stage, &["--town", &town]);
    // The replica of the watcher ends, and another one takes its port. The client reconnects by its own rules.
    stage.replace(0).await;
    let values = watching.await.unwrap();
    assert_eq!(steps_of(&values), CREATE, "{values:#?}");
    stage
}

/// Starts the official client as a watcher, and returns what it was told, once it has ended.
fn watch_with_node(stage: &Stage, args: &[&str]) -> JoinHandle<Vec<Value>> {
    let mut node = Command::new("node");
    node.args(["watch.mjs", "--url", &format!("{}/trpc", stage.url()), "--token", stage.token(ALICE)]).args(args);
    node.current_dir(folder()).kill_on_drop(true).stdout(std::process::Stdio::piped());
    let watching = node.spawn().expect("node is missing: `apt-get install nodejs npm`").wait_with_output();
    tokio::spawn(async move {
        let output = timeout(TIMEOUT, watching).await.expect("the watcher hangs").unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}");
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    })
}

/// The list that a watcher has after some values, as pairs of name and status.
#[derive(Default, Clone)]
struct Shown(BTreeMap<String, (String, String)>);

impl Shown {
    fn add(&mut self, value: &Value) {
        if value["isWhole"].as_bool().unwrap() {
            self.0.clear();
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for town in value["towns"].as_array().unwrap() {
            self.0.insert(text(&town["townId"]), (text(&town["townName"]), text(&town["status"])));
        }
        for id in value["gone"].as_array().unwrap() {
            assert!(self.0.remove(id.as_str().unwrap()).is_some(), "{id} was never told");
        }
    }

    fn is(&self, towns: &[(&str, &str)]) -> bool {
        let mut shown: Vec<_> = self.0.values().map(|(name, status)| (name.as_str(), status.as_str())).collect();
        shown.sort_unstable();
        shown == towns
    }

    /// Reads values until this list is shown. Returns the last id.
    async fn until(&mut self, watch: &mut Watch, towns: &[(&str, &str)]) -> String {
        loop {
            let (id, value) = watch.next().await.unwrap();
            self.add(&value);
            if self.is(towns) {
                return id;
            }
        }
    }
}

async fn watched_list_follows_every_town_of_its_user_and_no_other(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    tokio::task::spawn_blocking(install).await.unwrap();
    stage.add_replica().await;
    let official = watch_with_node(&stage, &["--stop-at", "stopped"]);
    let (mut watch, mut shown) = (Watch::open_list(&stage, 1, None).await, Shown::default());
    shown.until(&mut watch, &[]).await;

    // The other replica creates, of alice and of bob. A poll would come after ten seconds on Postgres.
    let asked = Instant::now();
    stage.call(BOB, "createTown", json!({ "townName": "inn" })).await.unwrap();
    stage.call(ALICE, "createTown", json!({ "townName": "mill" })).await.unwrap();
    stage.call(ALICE, "createTown", json!({ "townName": "forge" })).await.unwrap();
    let id = shown.until(&mut watch, &[("forge", "running"), ("mill", "running")]).await;
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());

    // A client that has seen everything resumes at the other replica, and misses nothing.
    let (mut resumed, mut of_resumed) = (Watch::open_list(&stage, 0, Some(&id)).await, shown.clone());
    let mill = stage.rows.towns().await.into_iter().find(|town| town.town_name == "mill").unwrap().id;
    stage.on_town("stopTown", mill).await.unwrap();
    of_resumed.until(&mut resumed, &[("forge", "running"), ("mill", "stopped")]).await;
    // The official client may connect late, so the town stays stopped until it has seen that.
    let told = official.await.unwrap();
    let mut of_official = Shown::default();
    for value in &told {
        of_official.add(value);
    }
    assert!(of_official.is(&[("forge", "running"), ("mill", "stopped")]), "{told:#?}");
    stage.on_town("destroyTown", mill).await.unwrap();
    shown.until(&mut watch, &[("forge", "running")]).await;
    stage
}
