//! What goes over the wire, request by request.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use gastown_domain::ports::{Machines, Volumes};
use gastown_fly::api::{Action, Call, apps, leases, machines, metadata, secrets, volumes};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    script::{Script, shown},
    world::{app, machine_id, machine_spec, shared, volume_spec},
};

const M: &str = "148ed21a031189";
const V: &str = "vol_9vlz";

fn calls() -> Vec<Call> {
    let secret = BTreeMap::from([("SANDBOX_PRIVATE_KEY".to_owned(), SecretString::from("c2VjcmV0"))]);
    vec![
        apps::create(&apps::CreateApp { name: "mill", org_slug: "kilo", network: Some("mill") }),
        apps::get("mill"),
        apps::list("kilo"),
        machines::list("mill", Some(("gastown_town_id", "0190a1b2"))),
        machines::list("mill", None),
        machines::summary("mill"),
        machines::get("mill", M),
        machines::destroy("mill", M, false),
        machines::destroy("mill", M, true),
        machines::start("mill", M),
        machines::stop("mill", M, Duration::from_secs(30)),
        machines::wait("mill", M, machines::WaitFor::Started, None, Duration::from_secs(600)),
        machines::wait("mill", M, machines::WaitFor::Stopped, Some("01HXYZ"), Duration::ZERO),
        machines::wait("mill", M, machines::WaitFor::Destroyed, None, Duration::from_secs(10)),
        machines::start("mill", M).under_lease("nonce-1"),
        leases::acquire("mill", M, Duration::from_secs(120), "gastown"),
        leases::refresh("mill", M, "nonce-1", Duration::from_secs(120)),
        leases::release("mill", M, "nonce-1"),
        metadata::get("mill", M),
        metadata::set("mill", M, "gastown_town_id", "0190a1b2"),
        volumes::list("mill"),
        volumes::get("mill", V),
        volumes::destroy("mill", V),
        secrets::set("mill", &secret),
        secrets::list("mill"),
    ]
}

#[test]
fn each_request_is_what_flys_description_says() {
    let all = calls().iter().map(shown).collect::<Vec<_>>().join("\n\n");
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn a_towns_volume_is_asked_for_whole() {
    let answer = json!({ "id": V, "name": "x", "state": "created", "region": "iad" });
    let (fly, script) = Script::new().on_json(Action::CreateVolume, &answer).fly(shared());
    fly.create_volume(&volume_spec()).await.unwrap();
    insta::assert_snapshot!(script.played());
}

#[tokio::test]
async fn a_towns_machine_is_asked_for_whole() {
    let answer = json!({ "id": M, "state": "created" });
    let (fly, script) = Script::new().on_json(Action::CreateMachine, &answer).fly(shared());
    fly.create_machine(&machine_spec()).await.unwrap();
    insta::assert_snapshot!(script.played());
}

#[tokio::test]
async fn an_update_sends_the_whole_configuration_and_the_version_it_saw() {
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

#[test]
fn a_call_prints_neither_its_body_nor_its_nonce() {
    for call in calls() {
        let printed = format!("{call:?}");
        assert!(!printed.contains("c2VjcmV0") && !printed.contains("nonce-1"), "{printed}");
    }
}

#[test]
fn the_limiter_counts_by_what_fly_counts() {
    for (call, want) in [
        (machines::start("mill", M), M),
        (machines::get("mill", M), M),
        (volumes::destroy("mill", V), "mill"),
        (volumes::get("mill", V), "mill"),
        (machines::list("mill", None), "mill"),
        (volumes::list("mill"), "mill"),
        (apps::get("mill"), "mill"),
        (apps::list("kilo"), ""),
        (secrets::list("mill"), "mill"),
        (apps::create(&apps::CreateApp { name: "mill", org_slug: "kilo", network: None }), ""),
    ] {
        assert_eq!(call.identifier(), want, "{call:?}");
    }
    assert_eq!(app().as_str(), "mill");
}
