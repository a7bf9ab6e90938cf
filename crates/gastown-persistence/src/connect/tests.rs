//! The settings of pools and sessions.

use ephemeral_db::TestDatabase;
use sea_orm::{ConnectionTrait as _, Statement, TransactionTrait as _};

use super::*;

#[tokio::test]
async fn neither_settings_nor_errors_show_the_password() {
    for url in [
        "postgres://user:canary@127.0.0.1:1/db",
        "postgres://user:canary@127.0.0.1:99999/db",
        "postgres://user:can/ary@127.0.0.1/db",
        "mysql://user:canary@127.0.0.1:1/db",
        "canary",
    ] {
        let mut settings = DatabaseSettings::at(url);
        settings.connect_timeout = Duration::from_millis(200);
        let error = Database::connect(&settings).await.unwrap_err();
        let shown = format!("{settings:?} {error:?} {error}");
        assert!(!shown.contains("canary") && !shown.contains("can/ary"), "{shown}");
    }
}

/// Returns a pool of one connection with this answer timeout.
async fn pool_of_one(url: &str, answer_timeout: Duration) -> Database {
    let settings = DatabaseSettings { max_connections: 1, answer_timeout, ..DatabaseSettings::at(url) };
    Database::connect(&settings).await.unwrap()
}

async fn text(database: &Database, query: &str) -> String {
    let statement = Statement::from_string(database.connection.get_database_backend(), query);
    let row = database.connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn session_settings_override_those_of_the_server() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    let lax = "DO $$ BEGIN \
        EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); \
        EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); \
        END $$";
    pool_of_one(place.url(), Duration::from_secs(5)).await.connection.execute_unprepared(lax).await.unwrap();
    let database = pool_of_one(place.url(), Duration::from_secs(5)).await;
    for (setting, wanted) in [
        ("synchronous_commit", "on"),
        ("transaction_isolation", "read committed"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("lock_timeout", "5s"),
    ] {
        assert_eq!(text(&database, &format!("SHOW {setting}")).await, wanted, "{setting}");
    }
}

#[tokio::test]
async fn client_that_freezes_in_a_transaction_loses_its_locks_and_reconnects() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    let frozen = pool_of_one(place.url(), Duration::from_millis(300)).await;
    let other = pool_of_one(place.url(), Duration::from_secs(30)).await;
    let rows = "CREATE TABLE things (id INT PRIMARY KEY); INSERT INTO things VALUES (1)";
    other.connection.execute_unprepared(rows).await.unwrap();

    let lock = "SELECT id::text FROM things FOR UPDATE";
    let held = frozen.connection.begin().await.unwrap();
    held.execute_unprepared(lock).await.unwrap();
    // Its lock timeout is longer than the frozen client can hold the lock.
    assert_eq!(text(&other, lock).await, "1");

    let error = crate::error::store_error(held.execute_unprepared(lock).await.unwrap_err());
    assert!(matches!(error, gastown_domain::ports::StoreError::Unavailable { .. }), "{error:?}");
    drop(held);
    assert_eq!(text(&frozen, lock).await, "1");
}

#[tokio::test]
async fn sqlite_file_uses_wal_and_full_synchronous_mode() {
    let place = TestDatabase::empty_sqlite().unwrap();
    let database = pool_of_one(place.url(), Duration::from_secs(5)).await;
    assert_eq!(text(&database, "SELECT journal_mode FROM pragma_journal_mode").await, "wal");
    let full = "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous";
    assert_eq!(text(&database, full).await, "2");
}
