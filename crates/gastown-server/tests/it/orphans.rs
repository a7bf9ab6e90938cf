//! Machines and volumes with our names or metadata but without a row: reported, and deleted when certain.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault, State, VolumeSeed};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::process::{Ended, Gastown};
use crate::stage::{APP, Setup, Stage, until};

on_both! {
    orphan_is_deleted_after_its_grace,
    only_an_operator_deletes_within_the_grace,
    orphan_of_a_destroyed_town_is_deleted_and_recorded,
    orphan_is_only_reported_if_configured,
    second_machine_of_a_live_town_is_deleted_only_by_id,
    second_volume_of_a_live_town_is_never_deleted,
    many_orphans_raise_an_alarm_and_are_not_deleted,
    deletion_requires_confirmation,
}

/// Returns a setup with a frequent search, which deletes orphans after `grace`.
fn searching(mut setup: Setup, grace: Duration) -> Setup {
    setup.policy.orphans.every = Duration::from_millis(60);
    setup.policy.orphans.grace = grace;
    setup
}

/// The grace of a volume without a town is 24 times as long.
const SOON: Duration = Duration::from_millis(60);
const LATER: Duration = Duration::from_secs(60 * 60);

/// Creates a volume and a machine on it, with the names and the metadata of this town.
async fn create_for(stage: &Stage, town: Uuid) -> (String, String) {
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
    until("it is started", async || {
        stage.sim.machines().iter().any(|made| made.id == machine && made.state == State::Started)
    })
    .await;
    (machine, volume)
}

/// Returns the id of a town that does not exist. Different numbers result in different volume names.
fn unknown_town(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_a1b2_c3d4_7e5f_8a9b_0000_0000_0000 + (number << 64))
}

/// Returns the name of a volume of this town.
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

/// Returns the ids of all resources at Fly.
fn at_fly(stage: &Stage) -> Vec<String> {
    let machines = stage.sim.machines().into_iter().map(|machine| machine.id);
    machines.chain(stage.sim.volumes().into_iter().map(|volume| volume.id)).collect()
}

/// Runs `gastown orphans` with the addresses of the database and of Fly, and no other secret.
async fn orphans(stage: &Stage, arguments: &[&str]) -> Ended {
    let needed = ["DATABASE_URL", "FLY_API_BASE_URL", "FLY_API_TOKEN", "FLY_APP_NAME"];
    let settings = stage.settings.iter().filter(|(name, _)| needed.contains(&name.as_str())).cloned();
    let settings: Vec<_> = settings.chain([("USER".to_owned(), "olga".to_owned())]).collect();
    let ended = Gastown::run(&[&["orphans"], arguments].concat(), &settings).await;
    assert!(!(ended.out.clone() + &ended.err).contains("canary"), "{ended:?}");
    ended
}

async fn orphans_json(stage: &Stage, arguments: &[&str]) -> Value {
    let ended = orphans(stage, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", ended.err);
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.out))
}

/// Returns the entry of a resource in an answer.
fn of<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let found = answer["orphans"].as_array().unwrap().iter().find(|orphan| orphan["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {answer}"))
}

/// Makes Fly refuse deletions until its faults are cleared, so that orphans can be observed.
fn block_deletions(stage: &Stage) {
    for call in [Call::DeleteMachine, Call::DeleteVolume] {
        stage.sim.inject(Fault::at(call, Effect::throttled()).always());
    }
}

/// Waits until this many passes have seen the orphan.
async fn seen(stage: &Stage, id: &str, times: i64) {
    until("passes have seen it", async || {
        stage.rows.orphans().await.iter().any(|orphan| orphan.fly_id == id && orphan.times_seen >= times)
    })
    .await;
}

/// Deletes these resources, a volume after its machine.
async fn clear(stage: &Stage, ids: &[&str]) {
    until("they are gone", async || {
        let left: Vec<_> = ids.iter().filter(|id| at_fly(stage).iter().any(|there| there == *id)).copied().collect();
        if !left.is_empty() {
            orphans(stage, &[&["--delete", "--yes", "--grace", "0"][..], &left].concat()).await;
        }
        left.is_empty()
    })
    .await;
}

async fn orphan_is_deleted_after_its_grace(setup: Setup) -> Stage {
    let stage = searching(setup, SOON).start().await;
    let town = stage.running("mill").await;
    let foreign = volume_named(&stage, "foreign").await;
    block_deletions(&stage);
    let (machine, volume) = create_for(&stage, unknown_town(1)).await;
    seen(&stage, &machine, 1).await;
    stage.sim.clear_faults();
    until("it is gone", async || at_fly(&stage).len() == 3).await;
    let left = at_fly(&stage);
    assert!(!left.contains(&machine) && !left.contains(&volume), "{left:?}");
    for kept in [town.machine(), town.volume(), &foreign] {
        assert!(left.iter().any(|id| id == kept), "{kept} went");
    }
    until("no orphan is recorded", async || stage.rows.orphans().await.is_empty()).await;
    assert_eq!(orphans_json(&stage, &[]).await["orphans"], json!([]));
    stage.at_fly(Method::DELETE, &format!("volumes/{foreign}"), json!(null)).await;
    stage
}

async fn only_an_operator_deletes_within_the_grace(setup: Setup) -> Stage {
    let stage = searching(setup, LATER).start().await;
    let town = stage.running("mill").await;
    let (machine, volume) = create_for(&stage, unknown_town(1)).await;
    seen(&stage, &volume, 5).await;
    let found = orphans_json(&stage, &[]).await;
    assert_eq!((&found["seen"], &found["apps"], &found["alarm"]), (&json!(4), &json!(1), &Value::Null));
    let entry = of(&found, &machine);
    assert_eq!((&entry["kind"], &entry["reason"]), (&json!("machine"), &json!("no_town")));
    assert_eq!(entry["verdict"]["code"], "seen_too_short");
    assert_eq!(of(&found, &volume)["verdict"]["code"], "held_by");
    let shown = orphans(&stage, &[]).await.out;
    assert!(shown.contains(&machine) && shown.contains(&volume) && shown.contains("no_town"), "{shown}");
    assert!(!shown.contains(town.machine()), "{shown}");

    let kept = orphans(&stage, &["--delete", "--yes"]).await;
    assert!(kept.out.contains("No orphan may be deleted now."), "{}", kept.out);
    assert_eq!(at_fly(&stage).len(), 4);
    let gone = orphans(&stage, &["--delete", "--yes", "--grace", "0"]).await;
    assert!(gone.out.contains(&format!("machine {machine}: deletion requested")), "{}", gone.out);
    assert!(gone.out.contains("which is deleted first"), "{}", gone.out);
    clear(&stage, &[&machine, &volume]).await;
    let mut left = at_fly(&stage);
    left.sort();
    let mut its = [town.machine(), town.volume()];
    its.sort_unstable();
    assert_eq!(left, its);
    stage
}

async fn orphan_of_a_destroyed_town_is_deleted_and_recorded(setup: Setup) -> Stage {
    let stage = searching(setup, SOON).start().await;
    let town = stage.running("mill").await;
    stage.on_town("destroyTown", town.id).await.unwrap();
    block_deletions(&stage);
    let (machine, _) = create_for(&stage, town.id).await;
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

async fn orphan_is_only_reported_if_configured(setup: Setup) -> Stage {
    let mut setup = searching(setup, Duration::from_millis(1));
    setup.policy.orphans.delete = false;
    let stage = setup.start().await;
    stage.running("mill").await;
    let volume = volume_of(&stage, unknown_town(1)).await;
    seen(&stage, &volume, 6).await;
    assert_eq!(at_fly(&stage).len(), 3);
    assert!(stage.replicas[0].log.text().contains("orphan found"));
    let gone = orphans_json(&stage, &["--delete", "--yes", "--grace", "0"]).await;
    assert_eq!(gone["removals"][0], json!({"kind": "volume", "id": volume, "outcome": "asked", "why": null}));
    until("no orphan is recorded", async || stage.rows.orphans().await.is_empty()).await;
    stage
}

async fn second_machine_of_a_live_town_is_deleted_only_by_id(setup: Setup) -> Stage {
    let stage = searching(setup, Duration::from_millis(1)).start().await;
    let town = stage.running("mill").await;
    let second = json!({
        "name": "mills-twin", "region": "iad",
        "config": {"image": "registry.example.com/other", "metadata": {"gastown_town_id": town.id}},
    });
    let second = id(&stage.at_fly(Method::POST, "machines", second).await);
    seen(&stage, &second, 6).await;
    let unnamed = orphans_json(&stage, &["--delete", "--yes", "--grace", "0"]).await;
    assert_eq!((&of(&unnamed, &second)["reason"], &unnamed["removals"]), (&json!("second"), &json!([])));
    assert_eq!(of(&unnamed, &second)["verdict"]["code"], "needs_word");
    // The town's own machine is refused.
    let wrong = orphans(&stage, &["--delete", "--yes", town.machine()]).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.err.contains(&format!("not an orphan: {}", town.machine())), "{}", wrong.err);
    let named = orphans_json(&stage, &["--delete", "--yes", &second]).await;
    assert_eq!(named["removals"][0]["outcome"], "asked", "{named}");
    until("it is gone", async || stage.sim.machines().len() == 1).await;
    assert_eq!(stage.sim.machines()[0].id, town.machine());
    stage
}

async fn second_volume_of_a_live_town_is_never_deleted(setup: Setup) -> Stage {
    let stage = searching(setup, Duration::from_millis(1)).start().await;
    let town = stage.running("mill").await;
    let second = volume_of(&stage, town.id).await;
    seen(&stage, &second, 6).await;
    for arguments in [&["--delete", "--yes", "--grace", "0"][..], &["--delete", "--yes", &second]] {
        let kept = orphans_json(&stage, arguments).await;
        assert_eq!(of(&kept, &second)["verdict"]["code"], "may_hold_data");
        assert_eq!(kept["removals"], json!([]));
    }
    assert_eq!(stage.sim.volumes().len(), 2);
    stage.at_fly(Method::DELETE, &format!("volumes/{second}"), json!(null)).await;
    stage
}

async fn many_orphans_raise_an_alarm_and_are_not_deleted(setup: Setup) -> Stage {
    let stage = searching(setup, Duration::from_millis(1)).start().await;
    stage.running("mill").await;
    // All at once, because a pass that sees only a few of them deletes them without an alarm.
    let seed = |number| stage.sim.seed_volume(&VolumeSeed::new(APP, &volume_name(unknown_town(number)))).unwrap();
    let volumes: Vec<_> = (0..12).map(seed).collect();
    let alarmed = async || {
        let answer = stage.gastown_json(&["operations"]).await;
        answer["passes"].as_array().unwrap().iter().any(|pass| pass["alarm"] == "many_orphans")
    };
    until("the alarm is raised", alarmed).await;
    let before = at_fly(&stage);
    let refused = orphans(&stage, &["--delete", "--yes", "--grace", "0"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.out.contains("! many_orphans") && refused.err.contains("Nothing was deleted"), "{refused:?}");
    assert_eq!(at_fly(&stage), before);
    // A certain operator gives the ids.
    let ids: Vec<_> = volumes.iter().map(String::as_str).collect();
    let named = orphans_json(&stage, &[&["--delete", "--yes", "--grace", "0"][..], &ids].concat()).await;
    assert_eq!(named["removals"].as_array().unwrap().len(), volumes.len());
    until("they are gone", async || at_fly(&stage).len() == 2).await;
    until("the alarm is over", async || !alarmed().await).await;
    assert!(stage.replicas[0].log.take_errors().iter().all(|line| line.contains("nothing deleted")));
    stage
}

async fn deletion_requires_confirmation(setup: Setup) -> Stage {
    let stage = searching(setup, LATER).start().await;
    let volume = volume_of(&stage, unknown_town(1)).await;
    let refused = orphans(&stage, &["--delete", "--grace", "0"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.err.contains("add --yes"), "{}", refused.err);
    assert_eq!(at_fly(&stage), [volume.as_str()]);
    clear(&stage, &[&volume]).await;
    stage
}

#[tokio::test]
async fn orphans_command_names_only_its_missing_settings() {
    let ended = Gastown::run(&["orphans"], &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    for name in ["DATABASE_URL", "FLY_API_TOKEN", "FLY_APP_NAME"] {
        assert!(ended.err.contains(&format!("{name} is missing")), "{}", ended.err);
    }
    assert_eq!(ended.err.matches(" is missing").count(), 3, "{}", ended.err);
}
