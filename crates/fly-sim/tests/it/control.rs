//! The control API. Every answer is checked against the document in `spec/control-openapi.json`.

use std::{cell::RefCell, collections::BTreeSet};

use fly_sim::{Scenario, SimConfig};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{APP, Answer, Fly, error, minimal, mounting, send},
    greeter::Greeter,
};

const SPEC: &str = include_str!("../../spec/control-openapi.json");

/// A simulator whose control API is called, and the operations that were called.
struct Control {
    fly: Fly,
    spec: Value,
    called: RefCell<BTreeSet<String>>,
}

impl Control {
    async fn start(config: SimConfig) -> Self {
        let fly = Fly::start(config).await;
        Self { fly, spec: serde_json::from_str(SPEC).unwrap(), called: RefCell::default() }
    }

    async fn fast() -> Self {
        Self::start(SimConfig::fast()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Value::Null).await
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.fly.unauthenticated(method.clone(), &format!("/_sim{path}"));
        let answer = send(if body.is_null() { request } else { request.json(&body) }).await;
        self.check(&method, path, &answer);
        answer
    }

    /// Checks an answer against the document.
    fn check(&self, method: &Method, path: &str, (status, body): &Answer) {
        let path = path.split('?').next().unwrap();
        let template = self.template(path);
        let operation = &self.spec["paths"][&template][method.as_str().to_lowercase()];
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} is not documented"));
        self.called.borrow_mut().insert(id.to_owned());
        let responses = operation["responses"].as_object().unwrap();
        let response = responses.get(&status.to_string()).or_else(|| responses.get("default"));
        let response = response.unwrap_or_else(|| panic!("{method} {path}: {status} is not documented: {body}"));
        let Some(schema) = response.pointer("/content/application~1json/schema") else {
            return assert_eq!(*body, Value::Null, "{method} {path}");
        };
        let schema = json!({ "allOf": [schema], "components": self.spec["components"] });
        let problems: Vec<_> =
            jsonschema::validator_for(&schema).unwrap().iter_errors(body).map(|error| error.to_string()).collect();
        assert_eq!(problems, Vec::<String>::new(), "{method} {path}: {body}");
    }

    fn template(&self, path: &str) -> String {
        let matches = |template: &str| {
            let (wanted, found): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(w, f)| w.starts_with('{') || *w == f)
        };
        let templates = self.spec["paths"].as_object().unwrap().keys();
        let mut found: Vec<_> = templates.filter(|template| matches(template)).cloned().collect();
        found.sort_by_key(|template| template.matches('{').count());
        found.first().unwrap_or_else(|| panic!("{path} is not documented")).clone()
    }

    fn operations(&self) -> BTreeSet<String> {
        let paths = self.spec["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn every_operation_answers_as_documented() {
    let control = Control::start(SimConfig { workload: Some(Greeter::workload()), ..SimConfig::fast() }).await;
    for path in ["/health", "/openapi.json", "/world", "/violations", "/capacity", "/scenarios", "/scenario", "/clock"]
    {
        assert_eq!(control.get(path).await.0, 200, "{path}");
    }
    let volume = control.post("/volumes", json!({ "app": APP, "name": "data" })).await.1["id"].clone();
    let seeded = json!({ "app": APP, "name": "one", "volume": volume });
    let (status, machine) = control.post("/machines", seeded).await;
    let (machine, volume) = (machine["id"].as_str().unwrap(), volume.as_str().unwrap());
    assert_eq!(status, 201);
    assert_eq!(control.post("/machines", json!({ "app": "other", "name": "one" })).await.0, 404);
    let attachment = format!("/machines/{machine}/attachment");
    control.call(Method::PUT, &attachment, json!({ "url": "http://127.0.0.1:1" })).await;
    control.get(&attachment).await;
    control.delete(&attachment).await;
    for (path, status) in [
        (format!("/machines/{machine}/host-down"), 204),
        (format!("/machines/{machine}/host-up"), 204),
        (format!("/machines/{machine}/kill"), 204),
        (format!("/volumes/{volume}/migrate"), 200),
        (format!("/volumes/{volume}/lose"), 204),
        ("/machines/12345/kill".to_owned(), 404),
        ("/volumes/vol_none/migrate".to_owned(), 404),
    ] {
        assert_eq!(control.post(&path, Value::Null).await.0, status, "{path}");
    }
    assert_eq!(control.post(&format!("/apps/{APP}/access"), json!("forbidden")).await.0, 204);
    assert_eq!(control.post(&format!("/apps/{APP}/access"), json!("closed")).await.0, 400);
    control.post("/scenario", json!({ "name": "stale-lists" })).await;
    control.delete("/scenario").await;
    let (_, injected) = control.post("/faults", json!([{ "effect": { "kind": "drop_request" } }])).await;
    control.get("/faults").await;
    let fault = format!("/faults/{}", injected["ids"][0]);
    assert_eq!((control.delete(&fault).await.0, control.delete(&fault).await.0), (204, 404));
    control.delete("/faults").await;
    control.post("/capacity/host", json!({ "times": 1 })).await;
    control.get("/calls").await;
    control.get("/calls/0").await;
    control.delete("/calls").await;
    control.post("/seed", json!({ "apps": [{ "name": "second" }] })).await;
    control.post("/clock", json!({ "advance_seconds": 0.5 })).await;
    let state = control.get("/state").await.1;
    control.call(Method::PUT, "/state", state).await;
    control.post("/reset", Value::Null).await;
    assert_eq!(*control.called.borrow(), control.operations(), "each documented operation was called");
}

#[tokio::test]
async fn unknown_call_is_404_with_its_path() {
    let control = Control::fast().await;
    let answer = send(control.fly.unauthenticated(Method::GET, "/_sim/nothing")).await;
    assert_eq!(answer, error(404, "the simulator has no call GET /_sim/nothing"));
}

#[tokio::test]
async fn journal_is_filtered_and_cleared() {
    let control = Control::fast().await;
    control.fly.create_machine(minimal("one")).await;
    control.fly.get("volumes").await;
    control.fly.get("machines/00000000000000").await;
    let kinds = async |query: &str| {
        let (status, found) = control.get(&format!("/calls{query}")).await;
        assert_eq!(status, 200, "{query}: {found}");
        found["calls"].as_array().unwrap().iter().map(|call| call["call"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<String> = kinds("").await;
    assert_eq!(all, ["CreateMachine", "ListVolumes", "GetMachine"]);
    assert_eq!(kinds("?call=ListVolumes").await, ["ListVolumes"]);
    assert_eq!(kinds("?status=404&app=mill").await, ["GetMachine"]);
    assert_eq!(kinds("?method=get&limit=1").await, ["ListVolumes"]);
    assert_eq!(kinds("?after=2&faulted=false").await, ["GetMachine"]);
    for query in ["?status=many", "?color=red", "?after=-1"] {
        assert_eq!(control.get(&format!("/calls{query}")).await.0, 400, "{query}");
    }
    control.delete("/calls").await;
    assert_eq!(kinds("").await, Vec::<String>::new());
}

#[tokio::test]
async fn capacity_form_refuses_the_calls_it_fits() {
    let control = Control::fast().await;
    let (status, _) = control.post("/capacity/volume_plain", json!({ "region": "iad", "times": 1 })).await;
    assert_eq!(status, 201);
    let volume = |region: &str| json!({ "name": "data", "region": region, "size_gb": 1 });
    assert_eq!(control.fly.post("volumes", volume("lhr")).await.0, 200);
    assert_eq!(control.fly.post("volumes", volume("iad")).await, error(400, "no capacity"));
    assert_eq!(control.fly.post("volumes", volume("iad")).await.0, 200);
    assert_eq!(control.post("/capacity/moon", json!({})).await.0, 404);
    assert_eq!(control.post("/capacity/host", json!({ "time": 1 })).await.0, 400);
}

#[tokio::test]
async fn scenario_replaces_the_one_before_and_keeps_other_faults() {
    let control = Control::fast().await;
    control.post("/faults", json!({ "call": "Wait", "effect": { "kind": "drop_request" } })).await;
    control.post("/scenario", json!({ "name": "token-trouble" })).await;
    let (_, started) = control.post("/scenario", json!({ "name": "april-duplicates" })).await;
    assert_eq!(started["scenario"]["source"], "https://fly.io/infra-log/machines-api-duplicates/");
    assert_eq!(control.get("/scenario").await.1["scenario"]["name"], "april-duplicates");
    let scenarios = |faults: &Value| -> Vec<Value> {
        faults["faults"].as_array().unwrap().iter().map(|fault| fault["scenario"].clone()).collect()
    };
    assert_eq!(scenarios(&control.get("/faults").await.1), [Value::Null, json!("april-duplicates")]);
    control.delete("/scenario").await;
    assert_eq!(scenarios(&control.get("/faults").await.1), [Value::Null]);
    let (status, refusal) = control.post("/scenario", json!({ "name": "moon" })).await;
    assert!(status == 404 && refusal["error"].as_str().unwrap().contains("april-duplicates"), "{refusal}");
}

#[tokio::test]
async fn reset_returns_to_the_initial_world() {
    let initial = fly_sim::SeedDocument::default().with_app("kept");
    let control = Control::start(SimConfig { initial, ..SimConfig::fast() }).await;
    control.fly.create_machine(minimal("one")).await;
    control.post("/scenario", json!({ "name": "rate-limited" })).await;
    assert_eq!(control.post("/reset", Value::Null).await.0, 204);
    let (_, world) = control.get("/world").await;
    let apps: Vec<_> = world["apps"].as_array().unwrap().iter().map(|app| app["name"].clone()).collect();
    assert_eq!(apps, [json!("kept")], "{APP} was not part of the initial world");
    for list in ["machines", "volumes", "calls", "violations"] {
        assert_eq!(world[list], json!([]), "{list}");
    }
    assert_eq!(control.get("/faults").await.1["faults"], json!([]));
}

#[tokio::test]
async fn seed_creates_apps_with_their_contents() {
    let control = Control::start(SimConfig { workload: Some(Greeter::workload()), ..SimConfig::fast() }).await;
    let seed = json!({ "apps": [{
        "name": "farm", "secrets": { "KEY": "value" },
        "volumes": [{ "name": "data", "region": "lhr", "size_gb": 3, "files": { "a.txt": "hello" } }],
        "machines": [
            { "name": "one", "volume": "data", "metadata": { "role": "db" }, "config": { "guest": { "cpus": 2 } } },
            { "name": "two", "state": "stopped", "age_seconds": 3600 },
        ],
    }] });
    assert_eq!(control.post("/seed", seed).await, (204, Value::Null));
    let world = control.fly.sim.machines();
    let shown: Vec<_> = world.iter().map(|m| (m.name.as_str(), m.state.as_str(), m.region.as_str())).collect();
    assert_eq!(shown, [("one", "started", "lhr"), ("two", "stopped", "iad")]);
    assert_eq!(world[0].volume, Some(control.fly.sim.volumes()[0].id.clone()));
    assert_eq!(control.fly.sim.volumes()[0].files["a.txt"], "hello");
    let greet = format!("/_machine/farm/{}/greet", world[0].id);
    control.fly.until(200, async || send(control.fly.unauthenticated(Method::GET, &greet)).await).await;
    let (_, secrets) = control.fly.get("/v1/apps/farm/secrets").await;
    assert_eq!(secrets["secrets"][0]["name"], "KEY");
    for (refused, part) in [
        (json!({ "apps": [{ "name": "Bad Name" }] }), "app Bad Name"),
        (json!({ "apps": [{ "name": "a", "machines": [{ "volume": "none" }] }] }), "volume none"),
        (json!({ "apps": [{ "name": "a", "machines": [{ "state": "failed" }] }] }), "failed"),
    ] {
        let (status, refusal) = control.post("/seed", refused).await;
        assert!(status == 422 && refusal["error"].as_str().unwrap().contains(part), "{part}: {refusal}");
    }
    assert_eq!(control.post("/seed", json!({ "app": [] })).await.0, 400);
}

#[tokio::test]
async fn hosts_are_down_during_the_scenario() {
    let control = Control::fast().await;
    let volume = control.fly.create_volume("data").await;
    let id = control.fly.start_machine(mounting("one", &volume)).await;
    control.post("/scenario", json!({ "name": "host-down" })).await;
    let (_, machine) = control.fly.get(&format!("machines/{id}")).await;
    assert_eq!((&machine["host_status"], &machine["state"]), (&json!("unreachable"), &json!("started")));
    assert_eq!(control.fly.post(&format!("machines/{id}/stop"), Value::Null).await.0, 503);
    control.delete("/scenario").await;
    assert_eq!(control.fly.post(&format!("machines/{id}/stop"), Value::Null).await.0, 200);
}

#[tokio::test]
async fn april_duplicates_empties_every_second_list() {
    let control = Control::fast().await;
    control.fly.create_machine(minimal("one")).await;
    control.fly.sim.start_scenario(Scenario::named("april-duplicates").unwrap());
    let count = async || control.fly.get("machines").await.1.as_array().unwrap().len();
    assert_eq!([count().await, count().await, count().await], [0, 1, 0]);
}

#[tokio::test]
async fn every_scenario_can_be_started_and_ends_without_a_trace() {
    let control = Control::fast().await;
    for scenario in Scenario::all() {
        control.post("/scenario", json!({ "name": scenario.name })).await;
        for _ in 0..13 {
            let path = format!("/v1/apps/{APP}/machines");
            let request = control.fly.request(Method::GET, &path).send().await;
            assert!(request.map_or(true, |answer| answer.status() != 501), "{}", scenario.name);
        }
        control.delete("/scenario").await;
        assert_eq!(control.fly.get("machines").await.0, 200, "{}", scenario.name);
    }
}
