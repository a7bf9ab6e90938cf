//! `/healthz` and `/readyz`, also while the database is away.

use serde_json::{Value, json};

use crate::client;
use crate::stage::{ALICE, Engine, Setup, Stage, until};

async fn probe(stage: &Stage, path: &str) -> (u16, Value) {
    let answer = client::http().get(format!("{}/{path}", stage.url())).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn takes_the_database_away(engine: Engine, away: &str, back: &str) {
    let stage = Setup::on(engine).raise().await;
    assert_eq!(probe(&stage, "readyz").await, (200, json!({ "status": "ready" })));
    stage.rows.execute(away).await;
    assert_eq!(probe(&stage, "readyz").await, (503, json!({ "status": "unavailable" })));
    assert_eq!(probe(&stage, "healthz").await, (200, json!({ "status": "ok" })));
    let refused = stage.call(ALICE, "listTowns", json!(null)).await.unwrap_err();
    assert!(refused.status >= 500 && !refused.message.contains("gastown_towns"), "{refused:?}");
    stage.rows.execute(back).await;
    until("it is ready again", async || probe(&stage, "readyz").await.0 == 200).await;
}

#[tokio::test]
async fn without_its_tables_it_is_alive_and_not_ready() {
    let (away, back) = ("ALTER TABLE gastown_towns RENAME TO away", "ALTER TABLE away RENAME TO gastown_towns");
    takes_the_database_away(Engine::Sqlite, away, back).await;
    takes_the_database_away(Engine::Postgres, away, back).await;
}

#[tokio::test]
async fn without_a_server_it_is_alive_and_not_ready() {
    let stage = Setup::postgres().raise().await;
    let mut admin = url::Url::parse(stage.place.url()).unwrap();
    let name = admin.path().trim_start_matches('/').to_owned();
    admin.set_path("postgres");
    let admin = crate::rows::Rows::of(admin.as_str()).await;
    admin.execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    assert_eq!(probe(&stage, "readyz").await, (503, json!({ "status": "unavailable" })));
    assert_eq!(probe(&stage, "healthz").await, (200, json!({ "status": "ok" })));
    let refused = stage.call(ALICE, "listTowns", json!(null)).await.unwrap_err();
    assert_eq!(refused.code, "SERVICE_UNAVAILABLE");
    assert_eq!(refused.message, "The registry is not available right now; try again later");
}
