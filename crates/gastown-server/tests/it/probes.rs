//! `/healthz` and `/readyz`, with and without a database.

use serde_json::{Value, json};

use crate::client;
use crate::stage::{ALICE, Engine, Setup, Stage, until};

async fn probe(stage: &Stage, path: &str) -> (u16, Value) {
    let answer = client::http().get(format!("{}/{path}", stage.url())).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Waits until the last good check is too old.
async fn until_not_ready(stage: &Stage) {
    until("it is not ready", async || probe(stage, "readyz").await == (503, json!({ "status": "unavailable" }))).await;
}

async fn check_without_database(engine: Engine, away: &str, back: &str) {
    let stage = Setup::on(engine).start().await;
    assert_eq!(probe(&stage, "readyz").await, (200, json!({ "status": "ready" })));
    stage.rows.execute(away).await;
    until_not_ready(&stage).await;
    assert_eq!(probe(&stage, "healthz").await, (200, json!({ "status": "ok" })));
    let refused = stage.call(ALICE, "listTowns", json!(null)).await.unwrap_err();
    assert!(refused.status >= 500 && !refused.message.contains("gastown_towns"), "{refused:?}");
    stage.rows.execute(back).await;
    until("it is ready again", async || probe(&stage, "readyz").await.0 == 200).await;
}

#[tokio::test]
async fn process_without_tables_is_alive_but_not_ready() {
    let (away, back) = ("ALTER TABLE gastown_towns RENAME TO away", "ALTER TABLE away RENAME TO gastown_towns");
    check_without_database(Engine::Sqlite, away, back).await;
    check_without_database(Engine::Postgres, away, back).await;
}

#[tokio::test]
async fn process_without_a_database_is_alive_but_not_ready() {
    let stage = Setup::postgres().start().await;
    let mut admin = url::Url::parse(stage.place.url()).unwrap();
    let name = admin.path().trim_start_matches('/').to_owned();
    admin.set_path("postgres");
    let admin = crate::rows::Rows::of(admin.as_str()).await;
    admin.execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    until_not_ready(&stage).await;
    assert_eq!(probe(&stage, "healthz").await, (200, json!({ "status": "ok" })));
    let refused = stage.call(ALICE, "listTowns", json!(null)).await.unwrap_err();
    assert_eq!(refused.code, "SERVICE_UNAVAILABLE");
    assert_eq!(refused.message, "The service is temporarily unavailable; try again later");
}
