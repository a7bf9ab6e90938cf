//! `gastown smoke` against a real server: a whole life, and failures that leave nothing behind.

use fly_sim::{Call, Effect, Fault};
use serde_json::{Value, json};

use crate::process::{Ended, Gastown};
use crate::stage::{ALICE, Setup, Stage, until};

on_both! {
    life_succeeds_and_leaves_nothing,
    failed_step_removes_the_town,
    town_that_cannot_be_removed_is_named,
    server_that_cannot_be_used_is_left_alone,
}

async fn smoke(stage: &Stage, more: &[&str]) -> Ended {
    let token = [("GASTOWN_TOKEN".to_owned(), stage.token(ALICE).to_owned())];
    Gastown::run(&[&["smoke", stage.url()], more].concat(), &token).await
}

fn answer(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err))
}

async fn life_succeeds_and_leaves_nothing(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let ended = smoke(&stage, &["--json"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}{}", ended.out, ended.err);
    let answer = answer(&ended);
    assert_eq!((&answer["ok"], &answer["townIsLeft"]), (&json!(true), &json!(false)));
    let steps: Vec<_> = answer["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
    assert_eq!(steps, ["create", "add rig", "stop", "start", "remove rig", "destroy"]);
    assert!(answer["steps"].as_array().unwrap().iter().all(|step| step["problem"].is_null()), "{answer}");
    let town = answer["townId"].as_str().unwrap().parse().unwrap();
    assert_eq!(stage.rows.town(town).await.status, "destroyed");
    let shown = smoke(&stage, &["--repo", "https://github.com/acme/app"]).await;
    assert_eq!(shown.status.code(), Some(0), "{}", shown.err);
    assert!(shown.out.contains("ok      create") && shown.out.ends_with("All 6 steps succeeded.\n"), "{}", shown.out);
    assert!(!shown.out.contains(stage.token(ALICE)));
    stage
}

async fn failed_step_removes_the_town(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::refusal(422, "no")).always());
    let ended = smoke(&stage, &["--json"]).await;
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.out, ended.err);
    let answer = answer(&ended);
    assert_eq!((&answer["ok"], &answer["townIsLeft"]), (&json!(false), &json!(false)));
    assert_eq!(answer["steps"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert!(ended.err.contains("step `create` failed") && ended.err.contains("removed"), "{}", ended.err);
    stage.sim.clear_faults();
    stage.idle().await;
    // The time is over in the middle of a step.
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::throttled()).always());
    let late = smoke(&stage, &["--timeout", "5"]).await;
    assert_eq!(late.status.code(), Some(1), "{}{}", late.out, late.err);
    assert!(late.out.contains("FAILED  ") && late.err.contains("not done within 5 s"), "{}{}", late.out, late.err);
    stage.sim.clear_faults();
    stage
}

async fn town_that_cannot_be_removed_is_named(setup: Setup) -> Stage {
    let stage = setup.start().await;
    stage.sim.inject(Fault::at(Call::CreateMachine, Effect::throttled()).always());
    let revoke = async {
        until("the town is being created", async || !stage.rows.towns().await.is_empty()).await;
        stage.rows.execute("UPDATE kilocode_users SET api_token_pepper = 'rotated' WHERE id = 'alice'").await;
    };
    let (left, ()) = tokio::join!(smoke(&stage, &[]), revoke);
    assert_eq!(left.status.code(), Some(6), "{}{}", left.out, left.err);
    assert!(left.err.contains("smoke-") && left.err.contains("could not be removed"), "{}", left.err);
    stage.sim.clear_faults();
    stage.idle().await;
    stage
}

async fn server_that_cannot_be_used_is_left_alone(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let wrong = [("GASTOWN_TOKEN".to_owned(), "wrong".to_owned())];
    let refused = Gastown::run(&["smoke", stage.url()], &wrong).await;
    assert_eq!(refused.status.code(), Some(1), "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("invalid_token") && refused.err.contains("no town was created"), "{}", refused.err);
    let nothing_listens = Gastown::run(&["smoke", "http://127.0.0.1:1"], &wrong).await;
    assert_eq!(nothing_listens.status.code(), Some(1), "{}", nothing_listens.err);
    assert!(nothing_listens.err.contains("refused"), "{}", nothing_listens.err);
    let without = Gastown::run(&["smoke", stage.url()], &[]).await;
    assert_eq!((without.status.code(), without.err.contains("GASTOWN_TOKEN")), (Some(1), true), "{}", without.err);
    for url in ["towns.example.com", "http://towns.example.com", "https://towns.example.com/?a=b"] {
        assert_eq!(Gastown::run(&["smoke", url], &wrong).await.status.code(), Some(2), "{url}");
    }
    stage
}
