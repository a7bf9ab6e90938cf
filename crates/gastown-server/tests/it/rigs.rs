//! `addRig` and `removeRig`: table and sandbox agree in the end.

use fly_sim::{Effect, Fault};
use gastown_sandbox_sim::{SANDBOX_ADD_RIG, SANDBOX_REMOVE_RIG};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{ALICE, Setup, Stage, id_of, until};

const REPO: &str = "https://github.com/acme/app";

on_both! {
    rig_is_in_table_and_sandbox_until_it_is_removed,
    rigs_added_to_a_stopped_town_exist_after_its_start,
    rigs_removed_from_a_stopped_town_are_gone_after_its_start,
    rig_that_the_sandbox_refuses_is_not_kept,
    refused_first_rig_is_shown_to_its_owner,
    default_branch_is_the_repositorys,
    unpushed_work_is_removed_only_by_force,
    rigs_of_a_create_exist_in_the_town,
    rig_names_are_case_insensitive,
    rig_with_a_lost_answer_is_reconciled_later,
    removal_with_a_lost_answer_is_reconciled_later,
    rigs_of_a_town_are_limited,
    configuration_of_a_rig_is_read_on_its_own,
}

/// Returns the names of the rigs in the table, with their statuses.
async fn in_table(stage: &Stage) -> Vec<(String, String)> {
    stage.rows.rigs().await.into_iter().map(|rig| (rig.rig_name, rig.status)).collect()
}

/// Returns the names of the rigs in the only sandbox.
fn in_sandbox(stage: &Stage) -> Vec<String> {
    let Some(file) = stage.sim.volumes()[0].files.get("rigs.json").cloned() else { return Vec::new() };
    let rigs: Vec<Value> = serde_json::from_str(&file).unwrap();
    rigs.iter().map(|rig| rig["name"].as_str().unwrap().to_owned()).collect()
}

async fn remove(stage: &Stage, town: Uuid, rig: &Value, force: bool) -> Result<Value, crate::client::Refusal> {
    stage.call(ALICE, "removeRig", json!({"townId": town, "rigId": rig, "force": force})).await
}

fn status(name: &str, status: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), status.to_owned())]
}

async fn rig_is_in_table_and_sandbox_until_it_is_removed(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let input = json!({
        "townId": town.id, "rigName": "app", "repoUrl": REPO, "branch": "trunk", "config": {"depth": 1},
    });
    let rig = stage.call(ALICE, "addRig", input).await.unwrap();
    for (key, value) in
        [("rigName", json!("app")), ("repoUrl", json!(REPO)), ("branch", json!("trunk")), ("status", json!("active"))]
    {
        assert_eq!(rig[key], value, "{rig}");
    }
    assert_eq!(rig["config"], json!({"depth": 1}));
    let [row] = stage.rows.rigs().await.try_into().unwrap();
    assert_eq!((row.town_id, row.id.to_string()), (town.id, rig["rigId"].as_str().unwrap().to_owned()));
    assert_eq!((row.repo_url.as_str(), row.branch.as_deref()), (REPO, Some("trunk")));
    let file: Value = serde_json::from_str(&stage.sim.volumes()[0].files["rigs.json"]).unwrap();
    assert_eq!(file, json!([{"name": "app", "repoUrl": REPO, "branch": "trunk"}]));

    let removed = remove(&stage, town.id, &rig["rigId"], false).await.unwrap();
    assert_eq!((&removed["rigId"], &removed["removed"]), (&rig["rigId"], &json!(true)));
    let after = &removed["town"];
    assert_eq!((&after["status"], &after["operation"]), (&json!("running"), &Value::Null));
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (vec![], vec![]));
    let again = remove(&stage, town.id, &rig["rigId"], false).await.unwrap_err();
    assert_eq!((again.code.as_str(), again.message.as_str()), ("NOT_FOUND", "Rig not found"));
    stage
}

async fn rigs_added_to_a_stopped_town_exist_after_its_start(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.on_town("stopTown", town.id).await.unwrap();
    let rig = stage.add_rig(town.id, "app", REPO).await.unwrap();
    assert_eq!((&rig["status"], in_table(&stage).await), (&json!("pending"), status("app", "pending")));
    stage.on_town("startTown", town.id).await.unwrap();
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (status("app", "active"), vec!["app".to_owned()]));
    stage
}

async fn rigs_removed_from_a_stopped_town_are_gone_after_its_start(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let rig = stage.add_rig(town.id, "app", REPO).await.unwrap();
    stage.on_town("stopTown", town.id).await.unwrap();
    let removal = remove(&stage, town.id, &rig["rigId"], false).await.unwrap();
    assert_eq!((&removal["removed"], in_table(&stage).await), (&json!(false), status("app", "removing")));
    stage.on_town("startTown", town.id).await.unwrap();
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (vec![], vec![]));
    stage
}

async fn rig_that_the_sandbox_refuses_is_not_kept(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let refused = stage.add_rig(town.id, "app", "https://github.com/refused/app").await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.status), ("UNPROCESSABLE_CONTENT", 422));
    assert!(refused.message.contains("the repository cannot be added as a rig"), "{}", refused.message);
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (vec![], vec![]));
    // The same for a rig that was accepted while the sandbox did not answer.
    stage.on_town("stopTown", town.id).await.unwrap();
    stage.add_rig(town.id, "app", "https://github.com/refused/app").await.unwrap();
    stage.on_town("startTown", town.id).await.unwrap();
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (vec![], vec![]));
    let refused = stage.on_town("getTownStatus", town.id).await.unwrap()["refusedRigs"].clone();
    assert_eq!((&refused[0]["rigName"], refused.as_array().unwrap().len()), (&json!("app"), 1));
    // Once the name is used again, the refusal is past.
    stage.add_rig(town.id, "App", REPO).await.unwrap();
    assert_eq!(stage.on_town("getTownStatus", town.id).await.unwrap()["refusedRigs"], json!([]));
    stage
}

async fn refused_first_rig_is_shown_to_its_owner(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let rigs = json!([
        {"rigName": "app", "repoUrl": "https://github.com/refused/app"}, {"rigName": "lib", "repoUrl": REPO},
    ]);
    let made = stage.call(ALICE, "createTown", json!({"townName": "mill", "config": {"rigs": rigs}})).await.unwrap();
    assert_eq!(made["status"], "running");
    let shown = stage.on_town("getTownStatus", id_of(&made)).await.unwrap();
    assert_eq!((&shown["rigs"][0]["rigName"], shown["rigs"].as_array().unwrap().len()), (&json!("lib"), 1));
    let refused = &shown["refusedRigs"][0];
    assert_eq!(refused["rigName"], "app");
    assert_eq!(refused["repoUrl"], "https://github.com/refused/app");
    assert_eq!(refused["reason"], "the repository cannot be added as a rig");
    assert!(refused["refusedAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{refused}");
    let events = stage.rows.events().await;
    assert!(events.iter().any(|event| event.action == "rig_refused"), "{events:?}");
    stage
}

async fn default_branch_is_the_repositorys(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let added = stage.add_rig(town.id, "app", "https://github.com/trunk/app").await.unwrap();
    assert_eq!((&added["branch"], &added["status"]), (&json!("trunk"), &json!("active")));
    stage.on_town("stopTown", town.id).await.unwrap();
    let later = stage.add_rig(town.id, "lib", "https://github.com/trunk/lib").await.unwrap();
    assert_eq!((&later["branch"], &later["status"]), (&json!(null), &json!("pending")));
    stage.on_town("startTown", town.id).await.unwrap();
    let branches: Vec<_> = stage.rows.rigs().await.into_iter().map(|rig| rig.branch).collect();
    assert_eq!(branches, [Some("trunk".to_owned()), Some("trunk".to_owned())]);
    stage
}

async fn unpushed_work_is_removed_only_by_force(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let rig = stage.add_rig(town.id, "app", "https://github.com/unpushed/app").await.unwrap();
    let refused = remove(&stage, town.id, &rig["rigId"], false).await.unwrap_err();
    assert_eq!(refused.code, "CONFLICT");
    assert_eq!(refused.data["inTheWay"], json!(["app: 2 commits not pushed"]));
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (status("app", "active"), vec!["app".to_owned()]));
    let removed = remove(&stage, town.id, &rig["rigId"], true).await.unwrap();
    assert_eq!(removed["removed"], true);
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (vec![], vec![]));
    stage
}

async fn rigs_of_a_create_exist_in_the_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let config = json!({"rigs": [{"rigName": "app", "repoUrl": REPO, "branch": "main"}]});
    let made = stage.call(ALICE, "createTown", json!({"townName": "mill", "config": config})).await.unwrap();
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (status("app", "active"), vec!["app".to_owned()]));
    let shown = stage.on_town("getTownStatus", id_of(&made)).await.unwrap();
    assert_eq!(shown["rigs"][0]["rigName"], "app");
    stage
}

async fn rig_names_are_case_insensitive(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.add_rig(town.id, "app", REPO).await.unwrap();
    let refused = stage.add_rig(town.id, "App", "https://github.com/acme/other").await.unwrap_err();
    assert_eq!(refused.code, "CONFLICT");
    assert_eq!(refused.message, "A rig with this name already exists in the town");
    assert_eq!((in_table(&stage).await, in_sandbox(&stage)), (status("app", "active"), vec!["app".to_owned()]));
    // Another town can use the name.
    let inn = stage.running("inn").await;
    stage.add_rig(inn.id, "app", REPO).await.unwrap();
    stage
}

async fn rig_with_a_lost_answer_is_reconciled_later(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    for (name, effect) in
        [("applied", Effect::DropAnswer), ("dropped", Effect::DropRequest), ("failed", Effect::server_error())]
    {
        // Repeated, because a sweep may make the first call. The caller's call must fail.
        stage.sim.inject(Fault::at(SANDBOX_ADD_RIG, effect).always());
        let rig = stage.add_rig(town.id, name, REPO).await.unwrap();
        assert_eq!(rig["status"], "pending", "{name}");
        stage.sim.clear_faults();
        until("the rig is active", async || in_table(&stage).await.contains(&(name.to_owned(), "active".to_owned())))
            .await;
    }
    assert_eq!(in_sandbox(&stage), ["applied", "dropped", "failed"]);
    stage
}

async fn removal_with_a_lost_answer_is_reconciled_later(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    for (name, effect) in
        [("applied", Effect::DropAnswer), ("dropped", Effect::DropRequest), ("failed", Effect::server_error())]
    {
        let rig = stage.add_rig(town.id, name, REPO).await.unwrap();
        stage.sim.inject(Fault::at(SANDBOX_REMOVE_RIG, effect).always());
        let removal = remove(&stage, town.id, &rig["rigId"], false).await.unwrap();
        assert_eq!((&removal["removed"], &removal["town"]["townId"]), (&json!(false), &json!(town.id)), "{name}");
        stage.sim.clear_faults();
        until("the rig is gone", async || in_table(&stage).await.is_empty()).await;
        assert_eq!(in_sandbox(&stage), Vec::<String>::new(), "{name}");
    }
    stage
}

async fn rigs_of_a_town_are_limited(mut setup: Setup) -> Stage {
    setup.policy.limits.rigs_per_town = 2;
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    for name in ["app", "lib"] {
        stage.add_rig(town.id, name, &format!("https://github.com/acme/{name}")).await.unwrap();
    }
    let refused = stage.add_rig(town.id, "doc", "https://github.com/acme/doc").await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.data["limit"]), ("PRECONDITION_FAILED", &json!(2)));
    assert_eq!(refused.message, "The limit of 2 rigs is reached; remove a rig to add another one");
    let rigs: Vec<_> = ["a", "b", "c"]
        .map(|name| json!({ "name": name, "repo_url": format!("https://github.com/acme/{name}") }))
        .to_vec();
    let create = json!({ "townName": "inn", "config": { "rigs": rigs } });
    assert_eq!(stage.call(ALICE, "createTown", create).await.unwrap_err().code, "PRECONDITION_FAILED");
    stage
}

async fn configuration_of_a_rig_is_read_on_its_own(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let config = json!({ "depth": 1 });
    let input = json!({
        "townId": town.id, "rigName": "app", "repoUrl": "https://github.com/acme/app", "config": config,
    });
    let mut added = stage.call(ALICE, "addRig", input).await.unwrap();
    assert_eq!(added["config"], config);
    // An answer to a change has the town too, and says what the change has started.
    let town_after = added.as_object_mut().unwrap().remove("town").unwrap();
    assert_eq!(added.as_object_mut().unwrap().remove("idleStop"), Some(Value::Null));
    assert_eq!((&town_after["townId"], &town_after["operation"]), (&json!(town.id), &Value::Null));
    let status = stage.on_town("getTownStatus", town.id).await.unwrap();
    assert_eq!((&status["rigs"][0]["rigId"], status["rigs"][0].get("config")), (&added["rigId"], None));
    let of = |rig| json!({ "townId": town.id, "rigId": rig });
    assert_eq!(stage.call(ALICE, "getRig", of(added["rigId"].clone())).await.unwrap(), added);
    let unknown = stage.call(ALICE, "getRig", of(json!(town.id))).await.unwrap_err();
    assert_eq!((unknown.code.as_str(), unknown.message.as_str()), ("NOT_FOUND", "Rig not found"));
    stage
}
