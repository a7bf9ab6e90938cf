//! The requests, one by one.

use std::{collections::HashSet, time::Duration};

use gastown_domain::ports::{Machines, Volumes};
use gastown_fly::api::{Action, Call, apps, machines, volumes};
use serde_json::json;

use crate::{
    script::{Script, shown},
    world::{app, machine_id, machine_spec, shared, volume_spec},
};

const M: &str = "148ed21a031189";
const V: &str = "vol_9vlz";

fn calls() -> Vec<Call> {
    vec![
        apps::create(&apps::CreateApp { name: "mill", org_slug: "kilo", network: Some("mill") }),
        apps::get("mill"),
        apps::list("kilo"),
        machines::list("mill", Some(("gastown_town_id", "0190a1b2"))),
        machines::list("mill", None),
        machines::summary("mill"),
        machines::get("mill", M),
        machines::destroy("mill", M),
        machines::start("mill", M),
        machines::stop("mill", M, Duration::from_secs(30)),
        machines::wait("mill", M, machines::WaitFor::Started, None, Duration::from_secs(600)),
        machines::wait("mill", M, machines::WaitFor::Stopped, Some("01HXYZ"), Duration::ZERO),
        machines::wait("mill", M, machines::WaitFor::Destroyed, None, Duration::from_secs(10)),
        volumes::list("mill"),
        volumes::get("mill", V),
        volumes::destroy("mill", V),
    ]
}

#[test]
fn each_request_matches_flys_description() {
    let all = calls().iter().map(shown).collect::<Vec<_>>().join("\n\n");
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn create_volume_sends_the_whole_specification() {
    let answer = json!({ "id": V, "name": "x", "state": "created", "region": "iad" });
    let (fly, script) = Script::new().on_json(Action::CreateVolume, &answer).fly(shared());
    fly.create_volume(&volume_spec()).await.unwrap();
    insta::assert_snapshot!(script.played());
}

#[tokio::test]
async fn create_machine_sends_the_whole_configuration() {
    let answer = json!({ "id": M, "state": "created" });
    let (fly, script) = Script::new().on_json(Action::CreateMachine, &answer).fly(shared());
    fly.create_machine(&machine_spec()).await.unwrap();
    insta::assert_snapshot!(script.played());
}

#[tokio::test]
async fn update_machine_sends_the_whole_configuration_and_the_version_it_read() {
    let answer = json!({ "id": M, "state": "stopped", "instance_id": "01HXYZ" });
    let (fly, script) =
        Script::new().on_json(Action::GetMachine, &answer).on_json(Action::UpdateMachine, &answer).fly(shared());
    fly.update_machine(&machine_id(), &machine_spec()).await.unwrap();
    insta::assert_snapshot!(script.played());
}

#[test]
fn every_action_is_in_these_snapshots() {
    let built: HashSet<Action> = calls().iter().map(Call::action).collect();
    let through_the_ports = [Action::CreateVolume, Action::CreateMachine, Action::UpdateMachine];
    let missing: Vec<Action> = Action::ALL
        .into_iter()
        .filter(|action| !built.contains(action) && !through_the_ports.contains(action))
        .collect();
    assert_eq!(missing, []);
}

#[tokio::test]
async fn debug_of_a_call_does_not_print_its_body() {
    let (fly, script) = Script::new().on_json(Action::CreateMachine, &json!({ "id": M })).fly(shared());
    fly.create_machine(&machine_spec()).await.unwrap();
    assert!(script.played().contains("c2VhbGVk"), "the body holds the sealed value");
    let printed = format!("{:?}", script.calls());
    assert!(!printed.contains("c2VhbGVk"), "{printed}");
}

#[test]
fn rate_limiter_counts_by_the_identifier_that_fly_counts_by() {
    for (call, want) in [
        (machines::start("mill", M), M),
        (machines::get("mill", M), M),
        (volumes::destroy("mill", V), "mill"),
        (volumes::get("mill", V), "mill"),
        (machines::list("mill", None), "mill"),
        (volumes::list("mill"), "mill"),
        (apps::get("mill"), "mill"),
        (apps::list("kilo"), ""),
        (apps::create(&apps::CreateApp { name: "mill", org_slug: "kilo", network: None }), ""),
    ] {
        assert_eq!(call.identifier(), want, "{call:?}");
    }
    assert_eq!(app().as_str(), "mill");
}
