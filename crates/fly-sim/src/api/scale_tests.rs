//! The cost of a call, which must not depend on the number of machines and volumes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ApiRequest, answer};
use crate::{
    config::SimConfig,
    reply::Content,
    route::{Call, Route},
    timing::Timing,
    world::{Settings, World},
};

const APP: &str = "mill";
/// The repeats of which the fastest counts, so that other work on the machine does not.
const REPEATS: usize = 200;

fn call(world: &mut World, call: Call, id: &str, body: Value) -> Value {
    let route = Route { call, app: APP.to_owned(), id: id.to_owned(), key: String::new() };
    let request = ApiRequest { route, query: Vec::new(), nonce: None, lists_deleted: false, body };
    let reply = answer(world, &request).unwrap();
    world.catch_up();
    match &reply.content {
        Content::List(entries) => entries.iter().map(|entry| serde_json::from_str::<Value>(entry).unwrap()).collect(),
        _ => reply.value().cloned().unwrap_or_default(),
    }
}

fn machine(number: usize) -> Value {
    json!({ "name": format!("m-{number}"), "config": { "image": "flyio/hellofly" } })
}

/// Returns a world with this number of machines and volumes, and the id of one of each.
fn world_with(count: usize) -> (World, String, String) {
    let config = SimConfig { timing: Timing::instant(), machine_limit: Some(usize::MAX), ..SimConfig::fast() };
    let mut world = World::new(Settings::from(&config), 1, None);
    call(&mut world, Call::CreateApp, "", json!({ "name": APP, "org_slug": "personal" }));
    let (mut id, mut volume) = (String::new(), String::new());
    for number in 0..count {
        id = call(&mut world, Call::CreateMachine, "", machine(number))["id"].as_str().unwrap().to_owned();
        volume = call(&mut world, Call::CreateVolume, "", json!({ "name": "v" }))["id"].as_str().unwrap().to_owned();
    }
    (world, id, volume)
}

/// Returns the shortest time of a group of calls that leaves the world as it was, apart from a destroyed machine.
fn fastest(world: &mut World, id: &str, volume: &str) -> Duration {
    let times = (0..REPEATS).map(|repeat| {
        let begun = Instant::now();
        call(world, Call::GetApp, "", Value::Null);
        call(world, Call::GetMachine, id, Value::Null);
        call(world, Call::GetVolume, volume, Value::Null);
        let made = call(world, Call::CreateMachine, "", machine(1_000_000 + repeat))["id"].clone();
        call(world, Call::StopMachine, made.as_str().unwrap(), json!({}));
        call(world, Call::DeleteMachine, made.as_str().unwrap(), Value::Null);
        begun.elapsed()
    });
    times.min().unwrap()
}

#[test]
fn call_costs_no_more_than_twice_as_much_at_ten_thousand() {
    let (mut small, id, volume) = world_with(10);
    let at_ten = fastest(&mut small, &id, &volume);
    let (mut large, id, volume) = world_with(10_000);
    let at_ten_thousand = fastest(&mut large, &id, &volume);
    assert!(at_ten_thousand <= at_ten * 2, "{at_ten:?} at 10, {at_ten_thousand:?} at 10,000");
    assert_eq!(large.machines.active(APP), 10_000);
}

#[test]
fn lists_of_ten_thousand_have_all_entries() {
    let (mut world, ..) = world_with(10_000);
    for list in [Call::ListMachines, Call::ListVolumes] {
        assert_eq!(call(&mut world, list, "", Value::Null).as_array().unwrap().len(), 10_000, "{list:?}");
    }
}
