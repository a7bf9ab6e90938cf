//! `gastown town create|watch` and `gastown rig`: in the database, and at a server with a user's token.

use serde_json::{Value, json};

use crate::process::{Ended, Gastown};
use crate::stage::{ALICE, BOB, Setup, Stage, until};

on_both! {
    towns_and_rigs_are_made_in_the_database,
    towns_and_rigs_are_made_at_a_server,
    mistakes_get_one_line,
}

/// Runs a command at the server of the stage, with alice's token.
async fn at_server(stage: &Stage, arguments: &[&str]) -> Ended {
    let token = [("GASTOWN_TOKEN".to_owned(), stage.token(ALICE).to_owned())];
    Gastown::run(&[arguments, &["--server", stage.url()]].concat(), &token).await
}

async fn json_at_server(stage: &Stage, arguments: &[&str]) -> Value {
    let ended = at_server(stage, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", ended.err);
    serde_json::from_str(&ended.out).unwrap()
}

async fn towns_and_rigs_are_made_in_the_database(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let made = stage.gastown_json(&["town", "create", "alice/mill", "--wait", "60"]).await;
    assert_eq!((&made["status"], &made["operation"]), (&json!("running"), &Value::Null));
    let events = stage.gastown_json(&["events", "alice/mill", "--action", "create"]).await;
    let actors: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| &event["actor"]).collect();
    assert!(actors.contains(&&json!("operator:olga")), "{events}");

    let added = stage.gastown_json(&["rig", "add", "alice/mill", "app", "https://github.com/acme/app"]).await;
    assert_eq!(added["rig"]["status"], "pending");
    let rigs = async || stage.gastown_json(&["rig", "list", "alice/mill"]).await["rigs"].as_array().unwrap().clone();
    until("the sandbox has the rig", async || rigs().await[0]["status"] == "active").await;
    let shown = stage.gastown(&["rig", "list", "alice/mill"]).await.out;
    assert!(shown.contains("app") && shown.contains("https://github.com/acme/app"), "{shown}");
    let again = stage.gastown(&["rig", "add", "alice/mill", "APP", "https://github.com/acme/app"]).await;
    assert_eq!((again.status.code(), again.err.lines().count()), (Some(1), 1), "{}", again.err);
    let removed = stage.gastown(&["rig", "remove", "alice/mill", "App"]).await;
    assert!(removed.out.starts_with("Rig app is removing."), "{}{}", removed.out, removed.err);
    until("the sandbox has removed the rig", async || rigs().await.is_empty()).await;

    let idle = stage.gastown(&["town", "watch", "alice/mill", "--until-idle"]).await;
    assert!(idle.out.contains("running, health "), "{}", idle.out);
    stage.gastown(&["town", "destroy", "alice/mill", "--yes"]).await;
    let town = made["townId"].as_str().unwrap();
    let watched = stage.gastown(&["town", "watch", town, "--json"]).await;
    let last: Value = serde_json::from_str(watched.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["status"], &last["operation"]), (&json!("destroyed"), &Value::Null));
    stage
}

async fn towns_and_rigs_are_made_at_a_server(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let made = json_at_server(&stage, &["town", "create", "mill", "--wait", "60", "--region", "iad"]).await;
    assert_eq!((&made["status"], &made["townName"]), (&json!("running"), &json!("mill")));
    let town = made["townId"].as_str().unwrap();
    for named in ["mill", town] {
        let watched = json_at_server(&stage, &["town", "watch", named, "--until-idle"]).await;
        assert_eq!(watched["status"], "running");
    }
    let added = at_server(&stage, &["rig", "add", "mill", "app", "https://github.com/acme/app"]).await;
    assert_eq!(added.out, "Rig app is active.\n", "{}", added.err);
    assert_eq!(json_at_server(&stage, &["rig", "list", town]).await["rigs"][0]["status"], "active");
    let removed = json_at_server(&stage, &["rig", "remove", "mill", "app", "--force"]).await;
    assert_eq!(removed["removed"], true);
    let shown = at_server(&stage, &["rig", "list", "mill"]).await.out;
    assert_eq!(shown, "The town has no rig.\n");
    let again = at_server(&stage, &["town", "create", "mill"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(again.err.contains("town_name_taken"), "{}", again.err);
    // The user is that of the token.
    let bobs = [("GASTOWN_TOKEN".to_owned(), stage.token(BOB).to_owned())];
    let foreign = Gastown::run(&["rig", "list", "mill", "--server", stage.url()], &bobs).await;
    assert_eq!(foreign.status.code(), Some(4), "{}", foreign.err);
    stage
}

async fn mistakes_get_one_line(setup: Setup) -> Stage {
    let stage = setup.start().await;
    for (arguments, code, text) in [
        (&["town", "create", "mill"][..], 2, "USER/NAME"),
        (&["town", "create", "carol/mill"], 1, "not created"),
        (&["town", "create", "alice/mill", "--region", "xyz"], 1, "FLY_REGIONS"),
        (&["town", "watch", "mill"], 2, "USER/NAME"),
        (&["town", "watch", "alice/none"], 4, "alice/none"),
        (&["rig", "list", "alice/none"], 4, "alice/none"),
        (&["rig", "add", "mill", "app", "https://github.com/acme/app"], 2, "USER/NAME"),
        (&["rig", "remove", "alice/none", "app"], 4, "alice/none"),
    ] {
        let ended = stage.gastown(arguments).await;
        assert_eq!((ended.status.code(), ended.err.lines().count()), (Some(code), 1), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(text) && ended.out.is_empty(), "{arguments:?}: {}", ended.err);
    }
    for arguments in [
        &["rig", "add", "alice/mill", "hq", "https://github.com/acme/app"][..],
        &["rig", "add", "alice/mill", "app", "file:///etc/passwd"],
        &["rig", "remove", "alice/mill", "app", "--force"],
        &["town", "create", "alice/Mill"],
        &["town", "create", "alice/"],
        &["town", "watch", "alice/mill", "--server", "http://towns.example.com"],
    ] {
        assert_eq!(stage.gastown(arguments).await.status.code(), Some(2), "{arguments:?}");
    }
    let named = at_server(&stage, &["town", "create", "alice/mill"]).await;
    assert!(named.status.code() == Some(2) && named.err.contains("the token names the user"), "{}", named.err);
    let without = stage.gastown(&["town", "create", "mill", "--server", stage.url()]).await;
    assert!(without.status.code() == Some(1) && without.err.contains("GASTOWN_TOKEN"), "{}", without.err);
    let away = [("GASTOWN_TOKEN".to_owned(), "x".to_owned())];
    let silent = Gastown::run(&["rig", "list", "mill", "--server", "http://127.0.0.1:1"], &away).await;
    assert_eq!((silent.status.code(), silent.err.lines().count()), (Some(1), 1), "{}", silent.err);
    stage
}
