//! `gastown adopt`: the rows of a lost registry are rebuilt from what Fly shows.

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::process::{Ended, Gastown};
use crate::rows::Town;
use crate::stage::{ALICE, BOB, Setup, Stage, until};

on_both! {
    lost_registry_of_a_hundred_towns_is_rebuilt,
    only_missing_rows_are_written,
    town_of_an_unknown_user_is_left_out,
}

/// The tables of the registry, in an order in which they can be emptied.
const TABLES: [&str; 6] = [
    "gastown_operations",
    "gastown_town_events",
    "gastown_town_health",
    "gastown_rigs",
    "gastown_orphans",
    "gastown_towns",
];
/// A name whose sandbox id is a hash.
const LONG: &str = "a-town-with-a-name-that-is-too-long-for-a-plain-sandbox-id";

/// Runs `gastown adopt` with the settings that it needs.
async fn adopt(stage: &Stage, arguments: &[&str]) -> Ended {
    let mut settings: Vec<_> = stage.settings.iter().filter(|(name, _)| name.starts_with("FLY_")).cloned().collect();
    settings.push(("DATABASE_URL".to_owned(), stage.place.url().to_owned()));
    settings.push(("USER".to_owned(), "olga".to_owned()));
    Gastown::run(&[&["adopt"], arguments].concat(), &settings).await
}

async fn adopt_json(stage: &Stage, arguments: &[&str]) -> Value {
    let ended = adopt(stage, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).unwrap()
}

pub(crate) async fn lose_registry(stage: &Stage) {
    for table in TABLES {
        stage.rows.execute(&format!("DELETE FROM {table}")).await;
    }
    assert_eq!(stage.rows.towns().await, []);
}

/// Returns the rows without what Fly does not show, by id.
async fn known_at_fly(stage: &Stage) -> Vec<Town> {
    let mut towns = stage.rows.towns().await;
    for town in &mut towns {
        (town.config, town.last_r2_sync_at, town.last_heartbeat_at) = (Value::Null, None, None);
    }
    towns.sort_by_key(|town| town.id);
    towns
}

/// Returns everything at Fly as text.
fn at_fly(stage: &Stage) -> String {
    format!("{:?}\n{:?}", stage.sim.all_machines(), stage.sim.all_volumes())
}

async fn lost_registry_of_a_hundred_towns_is_rebuilt(mut setup: Setup) -> Stage {
    setup.policy.limits.towns_per_user = 1000;
    setup.policy.limits.operations_per_user = 1000;
    // No heartbeat changes what is compared.
    setup.sim.workload = gastown_sandbox_sim::SimulatedSandboxes::default().into_workload();
    let stage = setup.start().await;
    let create = async |at: usize| {
        let (user, name) = match at {
            0 => (ALICE, LONG.to_owned()),
            at if at % 2 == 0 => (ALICE, format!("mill-{at}")),
            at => (BOB, format!("mill-{at}")),
        };
        stage.call(user, "createTown", json!({ "townName": name })).await.unwrap();
    };
    stream::iter(0..100).for_each_concurrent(10, create).await;
    stage.idle().await;
    let stop = stage.rows.towns().await.into_iter().filter(|town| town.user_id == ALICE).take(5).map(|town| town.id);
    for town in stop {
        stage.on_town("stopTown", town).await.unwrap();
    }
    let (before, fly) = (known_at_fly(&stage).await, at_fly(&stage));
    lose_registry(&stage).await;

    let shown = adopt(&stage, &[]).await;
    assert_eq!(shown.status.code(), Some(0), "{}", shown.err);
    assert!(
        shown.out.contains("Towns without a row: 100.") && shown.out.contains("Nothing was written"),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("idempotency keys") && shown.out.contains(LONG), "{}", shown.out);
    assert_eq!(stage.rows.towns().await, [], "a dry run writes nothing");

    let answer = adopt_json(&stage, &["--apply"]).await;
    let towns = answer["towns"].as_array().unwrap();
    assert_eq!((towns.len(), &answer["leftOut"]), (100, &json!([])));
    assert!(towns.iter().all(|town| town["row"] == "written" && town["notes"] == json!([])), "{answer}");
    assert_eq!(known_at_fly(&stage).await, before);
    assert_eq!(at_fly(&stage), fly, "something at Fly was changed");
    let again = adopt_json(&stage, &["--apply"]).await;
    assert_eq!((&again["known"], &again["towns"]), (&json!(100), &json!([])));

    // The towns are operated as before.
    let town = before.iter().find(|town| town.status == "running" && town.user_id == ALICE).unwrap();
    assert_eq!(stage.on_town("stopTown", town.id).await.unwrap()["status"], "stopped");
    assert_eq!(stage.on_town("startTown", town.id).await.unwrap()["status"], "running");
    stage.on_town("destroyTown", town.id).await.unwrap();
    until("its machine is gone", async || stage.sim.machines().iter().all(|machine| machine.id != town.machine()))
        .await;
    let events = stage.gastown_json(&["audit", "--action", "adopt", "--limit", "200"]).await;
    assert_eq!(events["events"].as_array().unwrap().len(), 100);
    assert_eq!(events["events"][0]["actor"], "operator:olga");
    stage
}

async fn only_missing_rows_are_written(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let [mill, inn] = [stage.running("mill").await, stage.running("inn").await];
    for table in &TABLES[..3] {
        stage
            .rows
            .execute(&format!(
                "DELETE FROM {table} WHERE town_id IN (SELECT id FROM gastown_towns WHERE town_name = 'inn')"
            ))
            .await;
    }
    stage.rows.execute("DELETE FROM gastown_towns WHERE town_name = 'inn'").await;
    let answer = adopt_json(&stage, &["--apply"]).await;
    assert_eq!((&answer["known"], answer["towns"].as_array().unwrap().len()), (&json!(1), 1), "{answer}");
    assert_eq!(answer["towns"][0]["townId"], json!(inn.id));
    assert_eq!((stage.rows.town(inn.id).await.machine(), stage.rows.town(mill.id).await), (inn.machine(), mill));
    stage
}

async fn town_of_an_unknown_user_is_left_out(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    lose_registry(&stage).await;
    stage.rows.execute("DELETE FROM kilocode_users WHERE id = 'alice'").await;
    let answer = adopt_json(&stage, &["--apply"]).await;
    assert_eq!(answer["towns"], json!([]));
    assert!(answer["leftOut"][0]["reason"].as_str().unwrap().contains("restore the users first"), "{answer}");
    assert_eq!(stage.rows.towns().await, []);
    stage
        .rows
        .execute("INSERT INTO kilocode_users (id, api_token_pepper) VALUES ('alice', 'canary-pepper-of-alice')")
        .await;
    let shown = adopt(&stage, &["--apply"]).await.out;
    assert!(shown.contains("written") && shown.contains(&town.id.to_string()), "{shown}");
    assert_eq!(stage.rows.town(town.id).await.machine(), town.machine());
    stage
}
