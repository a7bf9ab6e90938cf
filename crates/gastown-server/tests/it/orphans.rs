//! What is at Fly with our names or metadata and no row accounts for: told, and deleted when it is certain.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault, State, VolumeSeed};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::process::{Ended, Gastown};
use crate::stage::{APP, Setup, Stage, until};

on_both! {
    what_belongs_to_no_row_goes_after_its_grace,
    within_its_grace_only_an_operator_deletes,
    what_is_left_of_a_destroyed_town_goes_and_its_history_says_so,
    where_that_is_wished_it_is_only_told,
    a_second_machine_of_a_living_town_goes_only_where_it_is_named,
    a_second_volume_of_a_living_town_never_goes,
    what_appears_in_numbers_is_touched_by_nobody,
    nothing_is_deleted_unasked,
}

/// Fly is searched again and again; what is found goes after `grace`.
fn searched(mut setup: Setup, grace: Duration) -> Setup {
    setup.policy.orphans.every = Duration::from_millis(60);
    setup.policy.orphans.grace = grace;
    setup
}

/// A volume of no town has twenty-four times as long.
const SOON: Duration = Duration::from_millis(60);
const LATER: Duration = Duration::from_secs(60 * 60);

/// Makes a volume and a machine on it, with the names and the metadata of this town.
async fn made_for(stage: &Stage, town: Uuid) -> (String, String) {
    let volume = volume_of(stage, town).await;
    let machine = json!({
        "name": format!("town-{}", town.simple()), "region": "iad",
        "config": {
            "image": "registry.example.com/gastown-sandbox:1",
            "metadata": {"gastown_town_id": town},
            "mounts": [{"volume": volume, "path": "/home/gt/data"}],
        },
    });
    let machine = id(&stage.at_fly(Method::POST, "machines", machine).await);
    until("it is on", async || {
        stage.sim.machines().iter().any(|made| made.id == machine && made.state == State::Started)
    })
    .await;
    (machine, volume)
}

/// A town that never was; those of different numbers differ in what a volume's name shows.
fn nobodys(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_a1b2_c3d4_7e5f_8a9b_0000_0000_0000 + (number << 64))
}

/// What a volume of this town is called.
fn volume_name(town: Uuid) -> String {
    format!("town_{}", &town.simple().to_string()[..24])
}

async fn volume_of(stage: &Stage, town: Uuid) -> String {
    volume_named(stage, &volume_name(town)).await
}

async fn volume_named(stage: &Stage, name: &str) -> String {
    id(&stage.at_fly(Method::POST, "volumes", json!({"name": name, "region": "iad", "size_gb": 1})).await)
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

/// Everything that is paid for, by id.
fn at_fly(stage: &Stage) -> Vec<String> {
    let machines = stage.sim.machines().into_iter().map(|machine| machine.id);
    machines.chain(stage.sim.volumes().into_iter().map(|volume| volume.id)).collect()
}

/// `gastown orphans` of an operator who has the addresses of the database and of Fly, and no other secret.
async fn orphans(stage: &Stage, arguments: &[&str]) -> Ended {
    let needed = ["DATABASE_URL", "FLY_API_BASE_URL", "FLY_API_TOKEN", "FLY_APP_NAME"];
    let settings = stage.settings.iter().filter(|(name, _)| needed.contains(&name.as_str())).cloned();
    let settings: Vec<_> = settings.chain([("USER".to_owned(), "olga".to_owned())]).collect();
    let ended = Gastown::run(&[&["orphans"], arguments].concat(), &settings).await;
    assert!(!(ended.out.clone() + &ended.err).contains("canary"), "{ended:?}");
    ended
}

async fn told(stage: &Stage, arguments: &[&str]) -> Value {
    let ended = orphans(stage, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", ended.err);
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.out))
}

/// The entry of a thing in an answer.
fn of<'a>(told: &'a Value, id: &str) -> &'a Value {
    let found = told["orphans"].as_array().unwrap().iter().find(|orphan| orphan["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {told}"))
}

/// Fly deletes nothing until its faults are cleared: what is due at once can be looked at without haste.
fn nothing_goes_yet(stage: &Stage) {
    for call in [Call::DeleteMachine, Call::DeleteVolume] {
        stage.sim.inject(Fault::at(call, Effect::throttled()).always());
    }
}

/// Waits until so many passes have seen it.
async fn seen(stage: &Stage, id: &str, times: i64) {
    until("passes have seen it", async || {
        stage.rows.orphans().await.iter().any(|orphan| orphan.fly_id == id && orphan.times_seen >= times)
    })
    .await;
}

/// Deletes everything of these, a volume after its machine.
async fn cleared(stage: &Stage, ids: &[&str]) {
    until("they are gone", async || {
        let left: Vec<_> = ids.iter().filter(|id| at_fly(stage).iter().any(|there| there == *id)).copied().collect();
        if !left.is_empty() {
            orphans(stage, &[&["--delete", "--yes", "--grace", "0"][..], &left].concat()).await;
        }
        left.is_empty()
    })
    .await;
}

async fn what_belongs_to_no_row_goes_after_its_grace(setup: Setup) -> Stage {
    let stage = searched(setup, SOON).raise().await;
    let town = stage.running("mill").await;
    let foreign = volume_named(&stage, "nobodys").await;
    nothing_goes_yet(&stage);
    let (machine, volume) = made_for(&stage, nobodys(1)).await;
    seen(&stage, &machine, 1).await;
    stage.sim.clear_faults();
    until("it is gone", async || at_fly(&stage).len() == 3).await;
    let left = at_fly(&stage);
    assert!(!left.contains(&machine) && !left.contains(&volume), "{left:?}");
    for kept in [town.machine(), town.volume(), &foreign] {
        assert!(left.iter().any(|id| id == kept), "{kept} went");
    }
    until("the book is closed", async || stage.rows.orphans().await.is_empty()).await;
    assert_eq!(told(&stage, &[]).await["orphans"], json!([]));
    stage.at_fly(Method::DELETE, &format!("volumes/{foreign}"), json!(null)).await;
    stage
}

async fn within_its_grace_only_an_operator_deletes(setup: Setup) -> Stage {
    let stage = searched(setup, LATER).raise().await;
    let town = stage.running("mill").await;
    let (machine, volume) = made_for(&stage, nobodys(1)).await;
    seen(&stage, &volume, 5).await;
    let found = told(&stage, &[]).await;
    assert_eq!((&found["seen"], &found["apps"], &found["alarm"]), (&json!(4), &json!(1), &Value::Null));
    let entry = of(&found, &machine);
    assert_eq!((&entry["kind"], &entry["reason"]), (&json!("machine"), &json!("no_town")));
    assert_eq!(entry["verdict"]["code"], "seen_too_short");
    assert_eq!(of(&found, &volume)["verdict"]["code"], "held_by");
    let shown = orphans(&stage, &[]).await.out;
    assert!(shown.contains(&machine) && shown.contains(&volume) && shown.contains("no_town"), "{shown}");
    assert!(!shown.contains(town.machine()), "{shown}");

    let kept = orphans(&stage, &["--delete", "--yes"]).await;
    assert!(kept.out.contains("Nothing may be deleted now."), "{}", kept.out);
    assert_eq!(at_fly(&stage).len(), 4);
    let gone = orphans(&stage, &["--delete", "--yes", "--grace", "0"]).await;
    assert!(gone.out.contains(&format!("machine {machine}: its deletion was asked for")), "{}", gone.out);
    assert!(gone.out.contains("which goes first"), "{}", gone.out);
    cleared(&stage, &[&machine, &volume]).await;
    let mut left = at_fly(&stage);
    left.sort();
    let mut its = [town.machine(), town.volume()];
    its.sort_unstable();
    assert_eq!(left, its);
    stage
}

async fn what_is_left_of_a_destroyed_town_goes_and_its_history_says_so(setup: Setup) -> Stage {
    let stage = searched(setup, SOON).raise().await;
    let town = stage.running("mill").await;
    stage.on_town("destroyTown", town.id).await.unwrap();
    nothing_goes_yet(&stage);
    let (machine, _) = made_for(&stage, town.id).await;
    seen(&stage, &machine, 1).await;
    assert_eq!(stage.rows.orphans().await[0].reason, "town_destroyed");
    let shown = stage.gastown_json(&["town", "show", &town.id.to_string()]).await;
    assert!(shown["orphans"].as_array().unwrap().iter().any(|orphan| orphan["id"] == machine), "{shown}");
    stage.sim.clear_faults();
    until("it is gone", async || at_fly(&stage).is_empty()).await;
    let events = stage.rows.events().await;
    assert!(events.iter().any(|event| event.town_id == town.id && event.actor == "orphan sweeper"), "{events:?}");
    stage
}

async fn where_that_is_wished_it_is_only_told(setup: Setup) -> Stage {
    let mut setup = searched(setup, Duration::from_millis(1));
    setup.policy.orphans.delete = false;
    let stage = setup.raise().await;
    stage.running("mill").await;
    let volume = volume_of(&stage, nobodys(1)).await;
    seen(&stage, &volume, 6).await;
    assert_eq!(at_fly(&stage).len(), 3);
    assert!(stage.replicas[0].log.text().contains("something at Fly belongs to no row"));
    let gone = told(&stage, &["--delete", "--yes", "--grace", "0"]).await;
    assert_eq!(gone["removals"][0], json!({"kind": "volume", "id": volume, "outcome": "asked", "why": null}));
    until("the book is closed", async || stage.rows.orphans().await.is_empty()).await;
    stage
}

async fn a_second_machine_of_a_living_town_goes_only_where_it_is_named(setup: Setup) -> Stage {
    let stage = searched(setup, Duration::from_millis(1)).raise().await;
    let town = stage.running("mill").await;
    let second = json!({
        "name": "mills-twin", "region": "iad",
        "config": {"image": "registry.example.com/other", "metadata": {"gastown_town_id": town.id}},
    });
    let second = id(&stage.at_fly(Method::POST, "machines", second).await);
    seen(&stage, &second, 6).await;
    let unnamed = told(&stage, &["--delete", "--yes", "--grace", "0"]).await;
    assert_eq!((&of(&unnamed, &second)["reason"], &unnamed["removals"]), (&json!("second"), &json!([])));
    assert_eq!(of(&unnamed, &second)["verdict"]["code"], "needs_word");
    // Not the town's own, whatever is typed.
    let wrong = orphans(&stage, &["--delete", "--yes", town.machine()]).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.err.contains(&format!("accounted for by a row: {}", town.machine())), "{}", wrong.err);
    let named = told(&stage, &["--delete", "--yes", &second]).await;
    assert_eq!(named["removals"][0]["outcome"], "asked", "{named}");
    until("it is gone", async || stage.sim.machines().len() == 1).await;
    assert_eq!(stage.sim.machines()[0].id, town.machine());
    stage
}

async fn a_second_volume_of_a_living_town_never_goes(setup: Setup) -> Stage {
    let stage = searched(setup, Duration::from_millis(1)).raise().await;
    let town = stage.running("mill").await;
    let second = volume_of(&stage, town.id).await;
    seen(&stage, &second, 6).await;
    for arguments in [&["--delete", "--yes", "--grace", "0"][..], &["--delete", "--yes", &second]] {
        let kept = told(&stage, arguments).await;
        assert_eq!(of(&kept, &second)["verdict"]["code"], "may_hold_data");
        assert_eq!(kept["removals"], json!([]));
    }
    assert_eq!(stage.sim.volumes().len(), 2);
    stage.at_fly(Method::DELETE, &format!("volumes/{second}"), json!(null)).await;
    stage
}

async fn what_appears_in_numbers_is_touched_by_nobody(setup: Setup) -> Stage {
    let stage = searched(setup, Duration::from_millis(1)).raise().await;
    stage.running("mill").await;
    // All at once: a pass that sees a few of them is not alarmed, and deletes them.
    let plant = |number| stage.sim.seed_volume(&VolumeSeed::new(APP, &volume_name(nobodys(number)))).unwrap();
    let volumes: Vec<_> = (0..12).map(plant).collect();
    let alarmed = async || {
        let told = stage.gastown_json(&["operations"]).await;
        told["passes"].as_array().unwrap().iter().any(|pass| pass["alarm"] == "many_orphans")
    };
    until("somebody is alarmed", alarmed).await;
    let before = at_fly(&stage);
    let refused = orphans(&stage, &["--delete", "--yes", "--grace", "0"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.out.contains("! many_orphans") && refused.err.contains("Nothing was deleted"), "{refused:?}");
    assert_eq!(at_fly(&stage), before);
    // Whoever is certain says which.
    let ids: Vec<_> = volumes.iter().map(String::as_str).collect();
    let named = told(&stage, &[&["--delete", "--yes", "--grace", "0"][..], &ids].concat()).await;
    assert_eq!(named["removals"].as_array().unwrap().len(), volumes.len());
    until("they are gone", async || at_fly(&stage).len() == 2).await;
    until("the alarm is over", async || !alarmed().await).await;
    assert!(stage.replicas[0].log.take_errors().iter().all(|line| line.contains("nothing is deleted")));
    stage
}

async fn nothing_is_deleted_unasked(setup: Setup) -> Stage {
    let stage = searched(setup, LATER).raise().await;
    let volume = volume_of(&stage, nobodys(1)).await;
    let refused = orphans(&stage, &["--delete", "--grace", "0"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.err.contains("add --yes"), "{}", refused.err);
    assert_eq!(at_fly(&stage), [volume.as_str()]);
    cleared(&stage, &[&volume]).await;
    stage
}

#[tokio::test]
async fn the_settings_it_lacks_are_told_and_no_others() {
    let ended = Gastown::run(&["orphans"], &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    for name in ["DATABASE_URL", "FLY_API_TOKEN", "FLY_APP_NAME"] {
        assert!(ended.err.contains(&format!("{name} is missing")), "{}", ended.err);
    }
    assert_eq!(ended.err.matches(" is missing").count(), 3, "{}", ended.err);
}
