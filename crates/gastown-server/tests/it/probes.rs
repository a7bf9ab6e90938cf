//! `/healthz` and `/readyz`, with and without a database.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::client;
use crate::process::Gastown;
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

/// Makes new sessions of the database read only, or not, and ends those of the service.
async fn set_read_only(stage: &Stage, on: bool) {
    let set = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {on}', current_database()); \
         END $$"
    );
    stage.rows.execute(&set).await;
}

#[tokio::test]
async fn process_is_not_ready_while_nothing_can_be_written() {
    let mut stage = Setup::postgres().start().await;
    stage.replicas.pop().unwrap().stop().await;
    let mut process = Gastown::spawn(&["serve"], &stage.settings);
    let url = process.served_url().await;
    let ready = async || client::http().get(format!("{url}/readyz")).send().await.unwrap().status().as_u16();
    assert_eq!(ready().await, 200);
    set_read_only(&stage, true).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name = 'gastown' AND pid <> pg_backend_pid()";
    stage.rows.execute(end).await;
    until("it is not ready", async || ready().await == 503).await;
    let create = async || client::call(&url, stage.token(ALICE), "createTown", json!({ "townName": "mill" })).await;
    let refused = create().await.unwrap_err();
    assert_eq!(refused.code, "SERVICE_UNAVAILABLE");
    assert_eq!(ready().await, 503);

    set_read_only(&stage, false).await;
    let begun = Instant::now();
    until("it is ready again", async || ready().await == 200).await;
    until("it writes again", async || create().await.is_ok()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    process.signal(Signal::SIGTERM);
    let ended = process.ended().await;
    for expected in
        ["database refused to write, sessions replaced", "readiness check failed", "the database is read only"]
    {
        assert!(ended.err.contains(expected), "{expected}:\n{}", ended.err);
    }
    assert!(!ended.err.contains("canary"), "{}", ended.err);
}
