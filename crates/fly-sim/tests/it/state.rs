//! The whole state: saved, restored, and kept in a file.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fly_sim::{Call, Effect, Fault, FlySim, RateLimits, SimConfig, StartError, Timing};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{APP, Answer, Fly, minimal, mounting, send},
    greeter::Greeter,
};

/// Returns what a client sees of the world.
async fn seen(fly: &Fly) -> Vec<Answer> {
    let mut seen = Vec::new();
    for path in ["machines", "volumes", "secrets", "/v1/apps?org_slug=personal"] {
        seen.push(fly.get(path).await);
    }
    for machine in fly.sim.machines() {
        seen.push(fly.get(&format!("machines/{}/lease", machine.id)).await);
        seen.push(fly.get(&format!("machines/{}/versions", machine.id)).await);
    }
    seen
}

async fn furnished(config: SimConfig) -> (Fly, String) {
    let fly = Fly::start(SimConfig { workload: Some(Greeter::workload()), ..config }).await;
    fly.sim.set_app_secret(APP, "KEY", "value".into()).unwrap();
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("one", &volume)).await;
    let greet = format!("/_machine/{APP}/{id}/greet");
    fly.until(200, async || send(fly.unauthenticated(Method::GET, &greet)).await).await;
    let other = fly.start_machine(minimal("two")).await;
    fly.post(&format!("machines/{other}/stop"), Value::Null).await;
    fly.wait_for(&other, "stopped").await;
    fly.post(&format!("machines/{id}/lease"), json!({ "ttl": 600 })).await;
    (fly, id)
}

#[tokio::test]
async fn restore_brings_the_saved_world_back() {
    let (fly, id) = furnished(SimConfig::fast()).await;
    let (before, state) = (seen(&fly).await, fly.get("/_sim/state").await.1);
    fly.sim.kill_machine(&id, fly_sim::Death::Forgotten);
    fly.sim.lose_volume(&fly.sim.volumes()[0].id);
    fly.create_machine(minimal("three")).await;
    assert_ne!(seen(&fly).await, before);
    assert_eq!(fly.put("/_sim/state", state.clone()).await, (204, Value::Null));
    assert_eq!(seen(&fly).await, before);
    let greet = format!("/_machine/{APP}/{id}/greet");
    let greeted = fly.until(200, async || send(fly.unauthenticated(Method::GET, &greet)).await).await;
    assert_eq!(greeted["visits"], 2, "the program boots again and finds its files");
    assert_eq!(fly.create_machine(minimal("four")).await.len(), 14);

    let mut newer = state.clone();
    newer["format"] = json!(2);
    let mut broken = state;
    broken["machines"] = json!({});
    for state in [newer, broken, json!({})] {
        assert_eq!(fly.put("/_sim/state", state).await.0, 400);
    }
    assert!(fly.sim.machines().iter().any(|machine| machine.name == "four"), "a refused state changes nothing");
}

#[tokio::test]
async fn restored_transitions_go_on() {
    let timing = Timing { boot: Duration::from_secs(600), ..Timing::fast() };
    let fly = Fly::start(SimConfig { timing, ..SimConfig::fast() }).await;
    fly.create_machine(minimal("one")).await;
    fly.sim.advance_clock(Duration::from_secs(1));
    let state = fly.sim.save_state();
    let other = FlySim::builder().start().await.unwrap();
    other.restore_state(state).unwrap();
    assert_eq!(other.machines()[0].state.as_str(), "starting");
    other.advance_clock(Duration::from_secs(600));
    assert_eq!(other.machines()[0].state.as_str(), "started");
}

#[tokio::test]
async fn state_file_keeps_the_world_across_a_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    let config = SimConfig { state_file: Some(path.clone()), ..SimConfig::fast() };
    let (fly, _) = furnished(config.clone()).await;
    let names = fly.sim.machines();
    drop(fly);
    // The last write of a dropped simulator happens in the background.
    let complete = || std::fs::read_to_string(&path).is_ok_and(|text| names.iter().all(|m| text.contains(&m.id)));
    while !complete() {
        tokio::task::yield_now().await;
    }
    let again = FlySim::start(SimConfig { workload: Some(Greeter::workload()), ..config }).await.unwrap();
    let ids = |machines: Vec<fly_sim::MachineSnapshot>| -> Vec<String> { machines.into_iter().map(|m| m.id).collect() };
    assert_eq!(ids(again.machines()), ids(names.clone()));
    again.shutdown().await;

    std::fs::write(&path, "{}").unwrap();
    let refused = FlySim::start(SimConfig { state_file: Some(path), ..SimConfig::fast() }).await;
    assert!(matches!(refused, Err(StartError::State(_))), "{refused:?}");
}

/// Starts the program with a state file, and returns it with its address.
fn program(state: &Path) -> (Child, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fly-sim"))
        .args(["serve", "--listen", "0", "--timing", "fast", "--quiet", "--app", APP, "--state"])
        .arg(state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (program, url.trim().to_owned())
}

#[tokio::test]
async fn killed_program_finds_its_world_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut first, url) = program(&path);
    let create = http.post(format!("{url}/v1/apps/{APP}/machines")).bearer_auth("any").json(&minimal("one"));
    let machine: Value = create.send().await.unwrap().json().await.unwrap();
    let id = machine["id"].as_str().unwrap();
    http.post(format!("{url}/_sim/scenario")).json(&json!({ "name": "stale-lists" })).send().await.unwrap();
    let fault = json!({ "call": "GetVolume", "nth": 2, "effect": { "kind": "throttle" } });
    http.post(format!("{url}/_sim/faults")).json(&fault).send().await.unwrap();
    let attachment = format!("_sim/machines/{id}/attachment");
    let program_url = json!({ "url": "http://127.0.0.1:9/" });
    http.put(format!("{url}/{attachment}")).json(&program_url).send().await.unwrap();
    let set_up = async |url: &str| {
        let mut found = Vec::new();
        for path in ["_sim/faults", "_sim/scenario", "_sim/calls", &attachment] {
            let answer = http.get(format!("{url}/{path}")).send().await.unwrap();
            found.push(answer.json::<Value>().await.unwrap());
        }
        found
    };
    let before = set_up(&url).await;
    assert!(before[0].to_string().contains("GetVolume") && before[3] == program_url, "{before:?}");
    let is_written = || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(id) && text.contains("9/"));
    while !is_written() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    kill(Pid::from_raw(first.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
    first.wait().unwrap();

    let (mut second, url) = program(&path);
    assert_eq!(set_up(&url).await, before);
    let found = http.get(format!("{url}/v1/apps/{APP}/machines/{id}")).bearer_auth("any").send().await;
    kill(Pid::from_raw(second.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(second.wait().unwrap().success());
    assert_eq!(found.unwrap().status(), 200);
}

#[tokio::test]
async fn reset_clears_what_was_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let config = SimConfig {
        attachments: vec![("mill/one".to_owned(), "http://127.0.0.1:8/".to_owned())],
        rates: RateLimits::Fly,
        state_file: Some(folder.path().join("world.json")),
        ..SimConfig::fast()
    };
    let fly = Fly::start(config).await;
    let create = async || fly.post("machines", minimal("one")).await.0;
    assert_eq!(create().await, 200);
    while create().await != 429 {}
    fly.sim.attach("mill/one", "http://127.0.0.1:9/").unwrap();
    fly.sim.attach("mill/two", "http://127.0.0.1:9/").unwrap();
    fly.sim.inject(Fault::at(Call::GetApp, Effect::throttled()));
    fly.sim.reset();
    assert_eq!((fly.sim.faults(), fly.sim.calls().len()), (Vec::new(), 0));
    assert!(!fly.sim.detach("mill/two") && fly.sim.detach("mill/one"));
    fly.sim.create_app(APP).unwrap();
    assert_eq!(create().await, 200, "the rate limits are full again");
}
