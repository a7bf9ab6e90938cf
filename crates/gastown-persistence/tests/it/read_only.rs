//! A database that accepts no writes for a while, as a hot standby does.

use std::error::Error as _;

use gastown_domain::ports::{Readiness as _, Registry as _, StoreError};
use gastown_domain::{Town, TownId};
use gastown_persistence::Database;
use tokio::task::JoinSet;

use crate::bed::{Bed, beat, noon};

/// Makes new sessions of the database read only, or not. Existing ones stay as they are.
async fn set_read_only(bed: &Bed, on: bool) {
    bed.sql(&format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {on}', current_database()); \
         END $$"
    ))
    .await;
}

/// Ends all sessions of the service.
async fn end_sessions(bed: &Bed) {
    bed.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'gastown' AND pid <> pg_backend_pid()",
    )
    .await;
}

/// Opens several sessions, of writes and of reads.
async fn use_sessions(database: &Database, town: &Town) {
    let mut reads = JoinSet::new();
    for _ in 0..20 {
        let (database, town) = (database.clone(), town.id);
        reads.spawn(async move { drop(database.load(town).await) });
    }
    reads.join_all().await;
}

/// Returns the refusal of a write because the database is read only. Sessions that were ended are replaced first.
async fn refusal(database: &Database, town: TownId) -> StoreError {
    for _ in 0..20 {
        let error = beat(database, town, noon()).await.unwrap_err();
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        if cause.contains("read-only transaction") {
            return error;
        }
    }
    panic!("no write was refused because the database is read only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_cannot_write_are_replaced_at_once() {
    let bed = Bed::postgres().await;
    let town = bed.running("alice", "mill").await;
    let database = &bed.database;
    set_read_only(&bed, true).await;
    end_sessions(&bed).await;
    use_sessions(database, &town).await;
    let error = refusal(database, town.id).await;
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    use_sessions(database, &town).await;
    refusal(database, town.id).await;

    set_read_only(&bed, false).await;
    for _ in 0..20 {
        assert!(beat(database, town.id, noon()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_that_accepts_no_writes_is_not_ready() {
    let bed = Bed::postgres().await;
    let town = bed.running("alice", "mill").await;
    let database = &bed.database;
    database.ready().await.unwrap();
    set_read_only(&bed, true).await;
    // The session of the probe can still write, as long as no write was refused.
    end_sessions(&bed).await;
    refusal(database, town.id).await;
    for _ in 0..3 {
        let error = database.ready().await.unwrap_err();
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(error.is_transient() && cause.contains("the database is read only"), "{error:?}");
        assert!(database.load(town.id).await.unwrap().is_some(), "reads are answered");
    }
    set_read_only(&bed, false).await;
    database.ready().await.unwrap();
    assert!(beat(database, town.id, noon()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_notices_without_a_write() {
    let bed = Bed::postgres().await;
    bed.running("alice", "mill").await;
    set_read_only(&bed, true).await;
    end_sessions(&bed).await;
    bed.database.ready().await.unwrap_err();
    set_read_only(&bed, false).await;
    bed.database.ready().await.unwrap();
}
