//! `gastown town list`, `events`, `audit` and the failed operations of `operations`. Towns named as USER/NAME.

use std::time::Duration;

use fly_sim::{Call, Death, Effect, Fault};
use serde_json::{Value, json};

use crate::losses::{lose_saved, watched};
use crate::process::Gastown;
use crate::stage::{ALICE, BOB, DATA, Setup, Stage, id_of, until};

on_both! {
    towns_are_listed_by_owner_and_filtered,
    town_is_named_by_owner_and_name_everywhere,
    failed_stop_is_listed_with_its_cause,
    operator_stops_and_starts_a_town,
    operator_restores_a_lost_town,
    audit_lists_events_across_towns,
    attention_without_need_says_so,
    unasked_town_shows_no_comparison,
    commands_log_only_when_asked_to,
}

/// Returns the names of the listed towns, as USER/NAME.
async fn listed(stage: &Stage, conditions: &[&str]) -> Vec<String> {
    let answer = stage.gastown_json(&[&["town", "list"], conditions].concat()).await;
    let name = |town: &Value| format!("{}/{}", town["userId"].as_str().unwrap(), town["townName"].as_str().unwrap());
    answer["towns"].as_array().unwrap().iter().map(name).collect()
}

async fn towns_are_listed_by_owner_and_filtered(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    assert!(stage.gastown(&["town", "list"]).await.out.starts_with("No towns."));
    let [mill, inn] = [stage.running("mill").await, stage.running("inn").await];
    stage.call(BOB, "createTown", json!({ "townName": "mill" })).await.unwrap();
    stage.on_town("stopTown", inn.id).await.unwrap();
    assert_eq!(listed(&stage, &[]).await, ["alice/inn", "alice/mill", "bob/mill"]);
    for (conditions, expected) in [
        (&["--user", "bob"][..], &["bob/mill"][..]),
        (&["--name", "mill"], &["alice/mill", "bob/mill"]),
        (&["--status", "stopped"], &["alice/inn"]),
        (&["--status", "destroyed"], &[]),
        (&["--user", "alice", "--status", "running"], &["alice/mill"]),
        (&["--health", "drift"], &[]),
    ] {
        assert_eq!(listed(&stage, conditions).await, expected, "{conditions:?}");
    }
    let few = stage.gastown_json(&["town", "list", "--limit", "2"]).await;
    assert_eq!((few["towns"].as_array().unwrap().len(), &few["more"]), (2, &json!(true)));
    assert!(stage.gastown(&["town", "list", "--limit", "2"]).await.out.contains("raise --limit"));

    assert!(stage.sim.kill_machine(mill.machine(), Death::Stopped));
    until("the drift is listed", async || listed(&stage, &["--health", "drift"]).await == ["alice/mill"]).await;
    assert_eq!(listed(&stage, &["--health", "ok"]).await, ["alice/inn", "bob/mill"]);
    let shown = stage.gastown(&["town", "list"]).await.out;
    assert!(shown.contains("machine_stopped") && shown.contains(&mill.id.to_string()), "{shown}");
    stage
}

async fn town_is_named_by_owner_and_name_everywhere(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let by_name = stage.gastown_json(&["town", "show", "alice/mill"]).await;
    assert_eq!(by_name["town"]["townId"], json!(town.id));
    let events = stage.gastown_json(&["events", "alice/mill"]).await;
    assert_eq!(events["events"][0]["townId"], json!(town.id));
    for arguments in [
        &["town", "show", "bob/mill"][..],
        &["town", "start", "bob/mill"],
        &["town", "stop", "bob/mill"],
        &["town", "retry", "bob/mill"],
        &["town", "destroy", "bob/mill", "--yes"],
        &["events", "bob/mill"],
    ] {
        let ended = stage.gastown(arguments).await;
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(4), ""), "{arguments:?}");
        assert_eq!(ended.err, "gastown: no such town: bob/mill\n", "{arguments:?}");
    }
    let ended = stage.gastown(&["town", "destroy", "alice/mill", "--yes", "--wait", "20"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    // The name is free again, so it means no town.
    assert_eq!(stage.gastown(&["town", "show", "alice/mill"]).await.status.code(), Some(4));
    stage
}

async fn failed_stop_is_listed_with_its_cause(mut setup: Setup) -> Stage {
    setup.policy.timeouts.stop = Duration::from_millis(500);
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::server_error()).always());
    stage.on_town("stopTown", town.id).await.unwrap_err();
    stage.idle().await;
    stage.sim.clear_faults();

    let shown = stage.gastown(&["operations"]).await.out;
    for text in
        ["No operations in flight.", "Failed since 24h", "alice", "stop", "power_off", "provider_unavailable: the "]
    {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    let answer = stage.gastown_json(&["operations", "--failed"]).await;
    let [failed] = answer["failed"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&failed["townId"], &failed["action"]), (&json!(town.id), &json!("stop")));
    assert_eq!((&failed["outcome"], &failed["error"]), (&json!("failed"), &json!("provider_unavailable")));
    assert!(failed["message"].as_str().unwrap().contains("try again later"), "{failed}");
    assert_eq!((&failed["lastStep"], &answer["operations"]), (&json!("power_off"), &json!([])));
    let later = stage.gastown(&["operations", "--failed", "--since", "2100-01-01T00:00:00Z"]).await.out;
    assert!(later.starts_with("No operation has failed since 2100-01-01T00:00:00Z"), "{later}");
    let shown = stage.gastown(&["town", "show", "alice/mill"]).await.out;
    assert!(shown.contains("power_off") && shown.contains("provider_unavailable: the "), "{shown}");
    stage
}

async fn operator_stops_and_starts_a_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let (id, actor) = (town.id.to_string(), json!("operator:olga"));
    for (action, status) in [("stop", "stopped"), ("start", "running")] {
        let ended = stage.gastown(&["town", action, "alice/mill", "--wait", "60"]).await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
        assert!(ended.out.ends_with(&format!("Town {id} is {status}.\n")), "{}", ended.out);
        assert_eq!(stage.rows.town(town.id).await.status, status);
        let events = stage.gastown_json(&["events", &id, "--action", action, "--actor", "operator:olga"]).await;
        let told: Vec<_> =
            events["events"].as_array().unwrap().iter().map(|it| (&it["actor"], &it["outcome"])).collect();
        assert_eq!(told, [(&actor, &json!("done")), (&actor, &json!("accepted"))]);
    }
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::throttled()).always());
    let answer = stage.gastown_json(&["town", "stop", &id]).await;
    assert_eq!((&answer["townId"], &answer["operation"]["kind"]), (&json!(id), &json!("stop")), "{answer}");
    let busy = stage.gastown(&["town", "start", &id]).await;
    assert_eq!((busy.status.code(), busy.out.as_str()), (Some(1), ""));
    assert!(busy.err.contains("another operation is in flight: stop"), "{}", busy.err);
    let late = stage.gastown(&["town", "stop", &id, "--wait", "1"]).await;
    assert_eq!(late.status.code(), Some(5), "{}", late.out);
    assert!(late.err.contains("is not stopped after 1 s") && late.err.contains("continues"), "{}", late.err);
    stage.sim.clear_faults();
    stage.idle().await;
    stage
}

async fn operator_restores_a_lost_town(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    let refused = stage.gastown(&["town", "restore", "alice/mill", "--yes"]).await;
    assert_eq!((refused.status.code(), refused.out.as_str()), (Some(1), ""), "{}", refused.err);
    assert!(refused.err.contains("is not restored"), "{}", refused.err);
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    lose_saved(&stage, &town).await;
    // Without a terminal it needs --yes.
    let unconfirmed = stage.gastown(&["town", "restore", "alice/mill"]).await;
    assert_eq!(unconfirmed.status.code(), Some(1), "{}", unconfirmed.out);
    assert_eq!(stage.rows.town(town.id).await.volume(), town.volume());

    let ended = stage.gastown(&["town", "restore", "alice/mill", "--yes", "--wait", "60"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(ended.out.ends_with(&format!("Town {} is running.\n", town.id)), "{}", ended.out);
    let row = stage.rows.town(town.id).await;
    assert_eq!(stage.exec(row.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
    let events = stage.gastown_json(&["events", "alice/mill", "--action", "restore", "--actor", "operator:olga"]).await;
    let outcomes: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| &event["outcome"]).collect();
    assert_eq!(outcomes, ["done", "accepted"], "{events}");
    stage
}

async fn audit_lists_events_across_towns(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let bobs = id_of(&stage.call(BOB, "createTown", json!({ "townName": "inn" })).await.unwrap());
    stage.gastown(&["town", "stop", "alice/mill", "--wait", "60"]).await;
    let audit = async |conditions: &[&str]| {
        let answer = stage.gastown_json(&[&["audit"], conditions].concat()).await;
        answer["events"].as_array().unwrap().clone()
    };
    let all = audit(&[]).await;
    for (id, owner) in [(town.id, ALICE), (bobs, BOB)] {
        assert!(all.iter().any(|event| event["townId"] == json!(id) && event["userId"] == owner), "{all:?}");
    }
    assert!(all.is_sorted_by(|newer, older| newer["at"].as_str() >= older["at"].as_str()));
    assert!(audit(&["--user", BOB]).await.iter().all(|event| event["townName"] == "inn"));
    let by_olga = audit(&["--actor", "operator:olga"]).await;
    assert_eq!(
        by_olga.iter().map(|event| &event["action"]).collect::<Vec<_>>(),
        ["stop", "stop"],
        "its end and its request"
    );
    assert_eq!(audit(&["--since", "2100-01-01T00:00:00Z"]).await, Vec::<Value>::new());
    assert_eq!(audit(&["--failed"]).await, Vec::<Value>::new());
    let shown = stage.gastown(&["audit", "--limit", "1"]).await.out;
    assert!(shown.contains("stop") && shown.contains("There are more"), "{shown}");
    let wrong = stage.gastown(&["audit", "--since", "yesterday"]).await;
    assert!(wrong.status.code() == Some(2) && wrong.err.contains("24h"), "{}", wrong.err);
    stage
}

async fn attention_without_need_says_so(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::throttled()).always());
    let stop = stage.spawn_call(ALICE, "stopTown", json!({ "townId": town.id }));
    until("it is in flight", async || !stage.rows.operations().await.is_empty()).await;
    let shown = stage.gastown(&["operations", "--attention"]).await.out;
    assert!(shown.starts_with("No operation needs attention. Operations in flight: 1."), "{shown}");
    assert!(!shown.contains("No operations in flight"), "{shown}");
    assert_eq!(stage.gastown_json(&["operations", "--attention"]).await["inFlight"], json!(1));
    stage.sim.clear_faults();
    stop.await.unwrap().unwrap();
    stage
}

/// Tests that a town which could not be read at Fly is not shown as compared with it.
async fn unasked_town_shows_no_comparison(setup: Setup) -> Stage {
    let stage = watched(setup).start().await;
    let town = stage.running("mill").await;
    stage.sim.inject(Fault::at_any(Effect::server_error()).always());
    let failures = async || stage.sim.calls().into_iter().filter(|call| call.call == Call::GetMachine).count();
    let more = async |count: usize| {
        let before = failures().await;
        until("it could not be read", async || failures().await >= before + count).await;
    };
    let health = async || stage.gastown_json(&["town", "show", &town.id.to_string()]).await["health"].clone();
    more(1).await;
    let before = health().await;
    more(3).await;
    let after = health().await;
    assert_eq!(after["comparedAt"], before["comparedAt"]);
    assert_ne!(after["checkedAt"], before["checkedAt"]);
    let shown = stage.gastown(&["town", "show", &town.id.to_string()]).await.out;
    assert!(shown.contains("drift check begun") && shown.contains("last compared with Fly"), "{shown}");
    stage.sim.clear_faults();
    stage
}

async fn commands_log_only_when_asked_to(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.created("mill").await;
    let mut settings = stage.settings.clone();
    settings.retain(|(name, _)| name != "LOG_LEVEL");
    settings.push(("LOG_LEVEL".to_owned(), "debug".to_owned()));
    settings.push(("RUST_LOG".to_owned(), "trace".to_owned()));
    // The search for orphans calls Fly, and the client of HTTP logs each call at `debug`.
    for (arguments, logs) in
        [(&["town", "list"][..], false), (&["town", "show", "alice/mill"], false), (&["orphans"], true)]
    {
        let run = async |more: &[&str]| Gastown::run(&[arguments, more].concat(), &settings).await;
        let quiet = run(&["--json"]).await;
        assert_eq!((quiet.status.code(), quiet.err.as_str()), (Some(0), ""), "{arguments:?}");
        let answer: Value = serde_json::from_str(&quiet.out).unwrap();
        let verbose = run(&["--json", "--verbose"]).await;
        assert_eq!(verbose.err.contains("DEBUG"), logs, "{arguments:?}: {}", verbose.err);
        assert_eq!(serde_json::from_str::<Value>(&verbose.out).unwrap(), answer, "{arguments:?}");
        let shown = run(&[]).await;
        assert_eq!((shown.status.code(), shown.err.as_str()), (Some(0), ""), "{arguments:?}");
    }
    stage
}

#[tokio::test]
async fn mistyped_path_of_a_database_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gastwon.db");
    let settings = [("DATABASE_URL".to_owned(), format!("sqlite://{}", path.display()))];
    for arguments in [
        &["town", "list"][..],
        &["town", "show", "alice/mill"],
        &["town", "destroy", "alice/mill", "--yes"],
        &["operations"],
        &["events", "alice/mill"],
        &["audit"],
        &["migrate", "status"],
    ] {
        let ended = Gastown::run(arguments, &settings).await;
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?}");
    }
    let ended = Gastown::run(&["audit"], &settings).await;
    assert!(ended.err.contains("correct the path"), "{}", ended.err);
}
