//! The cost of a read: its plan, and the number of its statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ephemeral_db::TestDatabase;
use sea_orm::{DbBackend, Statement, Value};

use super::*;
use crate::DatabaseSettings;
use crate::dialect::tests::plans_of;
use crate::read_connections::ReadConnections;

/// Asserts that each table is read by an index.
async fn assert_indexed(sql: impl Fn(&ReadStatements) -> &str, values: &[Value], tables: &[&str]) {
    let [postgres, sqlite] = plans_of(|backend: DbBackend| {
        Statement::from_sql_and_values(backend, sql(&ReadStatements::new(backend, None)), values.to_vec())
    })
    .await;
    for table in tables {
        assert!(postgres.lines().any(|line| line.contains("Index") && line.contains(table)), "{table}: {postgres}");
    }
    assert!(!postgres.contains("Seq Scan"), "{postgres}");
    // The page of events is a derived table, which has no index.
    assert!(!sqlite.lines().any(|line| line.starts_with("SCAN") && line != "SCAN e LEFT-JOIN"), "{sqlite}");
}

#[tokio::test]
async fn reads_use_an_index_of_each_table() {
    let user = || Value::from("alice");
    let tables = ["kilocode_users", "gastown_towns", "gastown_town_health", "gastown_operations", "gastown_rigs"];
    assert_indexed(|it| &it.report, &[user(), Uuid::nil().into()], &tables).await;
    assert_indexed(|it| &it.town, &[user(), Uuid::nil().into()], &tables[..4]).await;
    assert_indexed(|it| &it.list, &[user()], &tables[..2]).await;
    let (town, tables) = (Value::from(Uuid::nil()), ["kilocode_users", "gastown_towns", "gastown_town_events"]);
    assert_indexed(|it| &it.events, &[user(), town.clone(), 50i64.into()], &tables).await;
    assert_indexed(|it| &it.events_before, &[user(), town.clone(), 50i64.into(), town], &tables).await;
}

/// Counts the statements of each read on SQLite. `tests/it/round_trips.rs` does so on Postgres.
#[tokio::test]
async fn each_read_is_one_statement_on_sqlite() {
    let place = TestDatabase::sqlite(async |url: String| migration::at_url::up(&url).await).await.unwrap();
    let mut database = Database::connect(&DatabaseSettings::at(place.url())).await.unwrap();
    let statements = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&statements);
    let ReadConnections::Pool(reads) = &mut database.reads else { panic!("not SQLite") };
    reads.set_metric_callback(move |_| _ = counter.fetch_add(1, Ordering::Relaxed));
    let caller = Caller::Trusted("alice".parse().unwrap());
    assert_eq!(database.report_of(&caller, TownId::new(Uuid::nil())).await.unwrap(), None);
    assert_eq!(statements.swap(0, Ordering::Relaxed), 1);
    assert_eq!(database.town_of(&caller, TownId::new(Uuid::nil())).await.unwrap(), None);
    assert_eq!(statements.swap(0, Ordering::Relaxed), 1);
    let page = gastown_domain::ports::EventPage { town: TownId::new(Uuid::nil()), before: None, limit: 50 };
    assert_eq!(database.events_of(&caller, page).await.unwrap(), None);
    assert_eq!(statements.swap(0, Ordering::Relaxed), 1);
    assert_eq!(database.towns_of(&caller).await.unwrap(), []);
    assert_eq!(statements.swap(0, Ordering::Relaxed), 1);
}
