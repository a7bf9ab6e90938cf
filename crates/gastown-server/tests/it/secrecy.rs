//! No answer, no log and no row contains a secret.

use std::fmt::Write as _;

use fly_sim::{Call, Effect, Fault};
use gastown_sandbox_sim::SANDBOX_ADD_RIG;
use serde_json::json;

use crate::env::secret;
use crate::stage::{ALICE, BOB, FLY_TOKEN, Setup, Stage};

on_both! {
    answers_logs_and_rows_contain_no_secret,
}

async fn answers_logs_and_rows_contain_no_secret(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let mut seen = String::new();
    let town = stage.running("mill").await;
    let secrets = ["KILO_JWT", "INTERNAL_API_KEY"].map(|name| secret(&stage, town.machine(), name));
    // Fly's messages are logged for operators, without the values that they quote.
    let words = format!("peculiar words about Bearer {FLY_TOKEN}");
    let echo = json!({"error": words, "env": {"KILO_JWT": "nacl:v1:k:canary"}});
    let echo = Effect::Answer { status: 422, body: echo };
    for call in [Call::StartMachine, Call::CreateVolume, SANDBOX_ADD_RIG] {
        stage.sim.inject(Fault::at(call, echo.clone()));
    }
    let rig = json!({"townId": town.id, "rigName": "app", "repoUrl": "https://github.com/acme/app"});
    for (user, procedure, input) in [
        (ALICE, "getTownStatus", json!({ "townId": town.id })),
        (ALICE, "listTowns", json!(null)),
        (BOB, "getTownStatus", json!({ "townId": town.id })),
        (ALICE, "addRig", rig),
        (ALICE, "createTown", json!({ "townName": "fails" })),
        (ALICE, "stopTown", json!({ "townId": town.id })),
        (ALICE, "startTown", json!({ "townId": town.id })),
        (ALICE, "startTown", json!({ "townId": town.id })),
        (ALICE, "createTown", json!({"townName": "mill\0"})),
        (ALICE, "destroyTown", json!({ "townId": town.id })),
    ] {
        writeln!(seen, "{procedure}: {:?}", stage.call(user, procedure, input).await).unwrap();
    }
    let refused = crate::client::call(stage.url(), "canary-of-a-token", "listTowns", json!(null)).await.unwrap_err();
    let refused_home =
        crate::client::call_home(stage.url(), "canary-of-a-key", "heartbeat", json!({"townId": town.id}));
    writeln!(seen, "{refused:?} {:?}", refused_home.await.unwrap_err()).unwrap();
    assert!(seen.contains("the provider refused") && !seen.contains("peculiar"), "{seen}");
    stage.idle().await;
    seen += &stage.rows.everything().await;
    let log = stage.replicas[0].log.text();
    assert!(log.contains("DEBUG") && log.contains("peculiar"), "the log is not the whole one:\n{log}");
    seen += &log;

    let tokens = [ALICE, BOB].map(|user| stage.token(user).to_owned());
    for canary in secrets.iter().chain(&tokens).map(String::as_str).chain(["canary", "nacl:v1:"]) {
        let line = seen.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "holds {canary}");
    }
    stage
}
