//! `gastown adopt`: the rows of a lost registry are rebuilt from what Fly shows.

use fly_sim::{Effect, Fault};
use futures::{StreamExt as _, stream};
use gastown_sandbox_sim::SANDBOX_LIST_RIGS;
use serde_json::{Value, json};

use crate::process::{Ended, Gastown};
use crate::rows::Town;
use crate::stage::{ALICE, BOB, Setup, Stage, until};

on_both! {
    lost_registry_of_a_hundred_towns_is_rebuilt,
    sandboxes_that_cannot_be_asked_cost_only_the_rigs,
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
const REPO: &str = "https://github.com/acme/app";
/// The settings with which sandboxes are asked for their rigs.
const OF_SANDBOXES: [&str; 2] = ["INTERNAL_API_SECRET", "SANDBOX_URL"];
/// A name whose sandbox id is a hash.
const LONG: &str = "a-town-with-a-name-that-is-too-long-for-a-plain-sandbox-id";

/// Runs `gastown adopt` with the settings that it needs.
async fn adopt(stage: &Stage, arguments: &[&str]) -> Ended {
    adopt_with(stage, &OF_SANDBOXES, arguments).await
}

/// Runs `gastown adopt` with those settings of sandboxes.
async fn adopt_with(stage: &Stage, of_sandboxes: &[&str], arguments: &[&str]) -> Ended {
    let is_needed = |name: &str| name.starts_with("FLY_") || of_sandboxes.contains(&name);
    let mut settings: Vec<_> = stage.settings.iter().filter(|(name, _)| is_needed(name)).cloned().collect();
    settings.push(("DATABASE_URL".to_owned(), stage.place.url().to_owned()));
    settings.push(("USER".to_owned(), "olga".to_owned()));
    Gastown::run(&[&["adopt"], arguments].concat(), &settings).await
}

async fn adopt_json(stage: &Stage, arguments: &[&str]) -> Value {
    adopt_json_with_code(stage, arguments, 0).await
}

/// Expects this exit code.
async fn adopt_json_with_code(stage: &Stage, arguments: &[&str], code: i32) -> Value {
    let ended = adopt(stage, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.status.code(), Some(code), "{}", ended.err);
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

/// Returns the rigs without ids, in the order of their towns and names.
async fn rigs(stage: &Stage) -> Vec<(uuid::Uuid, String, String, Option<String>, String)> {
    let rigs = stage.rows.rigs().await.into_iter();
    let mut rigs: Vec<_> = rigs.map(|rig| (rig.town_id, rig.rig_name, rig.repo_url, rig.branch, rig.status)).collect();
    rigs.sort();
    rigs
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
        // Every fourth town has two rigs. The sandbox names the branch of the second one.
        let rigs = json!([
            { "rigName": "app", "repoUrl": REPO, "branch": "trunk" },
            { "rigName": "Web", "repoUrl": "git@github.com:acme/web.git" },
        ]);
        let rigs = if at.is_multiple_of(4) { rigs } else { json!([]) };
        stage.call(user, "createTown", json!({ "townName": name, "config": { "rigs": rigs } })).await.unwrap();
    };
    stream::iter(0..100).for_each_concurrent(10, create).await;
    stage.idle().await;
    let stop = stage.rows.towns().await.into_iter().filter(|town| town.user_id == ALICE).take(5).map(|town| town.id);
    let stopped: Vec<_> = stop.collect();
    for town in &stopped {
        stage.on_town("stopTown", *town).await.unwrap();
    }
    // The rigs of stopped towns cannot be known.
    let mut rigs_before = rigs(&stage).await;
    rigs_before.retain(|(town, ..)| !stopped.contains(town));
    assert!(rigs_before.len() > 30, "{rigs_before:?}");
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
    for town in towns {
        let is_stopped = stopped.iter().any(|id| town["townId"] == json!(id));
        let notes = if is_stopped { json!(["its rigs are not known: it does not run"]) } else { json!([]) };
        assert_eq!((&town["row"], &town["notes"], town["rigs"].is_null()), (&json!("written"), &notes, is_stopped));
    }
    assert_eq!(known_at_fly(&stage).await, before);
    assert_eq!(rigs(&stage).await, rigs_before);
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
    let events = events["events"].as_array().unwrap();
    assert!(events.len() == 100 && events.iter().all(|event| event["actor"] == "operator:olga"), "{events:?}");
    let without_rigs =
        |event: &&Value| event["message"].as_str().unwrap().starts_with("not known: rigs, configuration,");
    assert_eq!(events.iter().filter(without_rigs).count(), stopped.len(), "{events:?}");
    assert!(events.iter().all(|event| event["message"].as_str().unwrap().contains("configuration, events,")));
    stage
}

async fn sandboxes_that_cannot_be_asked_cost_only_the_rigs(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.add_rig(town.id, "app", REPO).await.unwrap();
    lose_registry(&stage).await;
    let unasked = adopt_with(&stage, &[], &[]).await;
    assert!(unasked.out.contains("its rigs are not known: set INTERNAL_API_SECRET"), "{}{}", unasked.out, unasked.err);
    assert!(unasked.out.contains("a repeat adds none"), "{}", unasked.out);
    stage.sim.inject(Fault::at(SANDBOX_LIST_RIGS, Effect::throttled()).always());
    let answer = adopt_json(&stage, &["--apply"]).await;
    assert_eq!(answer["towns"][0]["notes"], json!(["its rigs are not known: its sandbox did not answer"]));
    assert_eq!((&answer["towns"][0]["row"], rigs(&stage).await), (&json!("written"), vec![]));
    stage.sim.clear_faults();
    // The owner adds the rig again, and the sandbox still has it.
    let added = stage.add_rig(town.id, "app", REPO).await.unwrap();
    assert_eq!(added["status"], "active");
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
    let shown = adopt(&stage, &[]).await;
    assert!(
        shown.status.success() && shown.out.contains("row: 1. Left out of these: 1."),
        "{}{}",
        shown.out,
        shown.err
    );
    let answer = adopt_json_with_code(&stage, &["--apply"], 1).await;
    assert_eq!((&answer["towns"], &answer["townsLeftOut"]), (&json!([]), &json!(1)));
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
