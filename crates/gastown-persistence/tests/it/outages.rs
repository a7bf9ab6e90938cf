use std::time::{Duration, Instant};

use gastown_domain::ports::{Operations as _, Readiness as _, Registry as _, StoreError};
use gastown_persistence::{Database, DatabaseSettings};
use sea_orm::ConnectionTrait as _;

use crate::bed::{Bed, LEASE, beat, noon, on_both, worker};

on_both! {
    lock_that_is_never_released_ends_in_contention,
    writer_waits_for_another_writers_lock,
    calls_end_at_the_answer_timeout,
    closed_database_is_unavailable,
}

async fn lock_that_is_never_released_ends_in_contention(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let impatient = bed.again(|settings| settings.lock_timeout = Duration::from_millis(20)).await;
    let held = bed.lock_all_towns().await;
    let error = beat(&impatient, town.id, noon()).await.unwrap_err();
    assert!(matches!(error, StoreError::Contention { transaction: "record_heartbeats", .. }), "{error:?}");
    assert!(error.is_transient());
    held.rollback().await.unwrap();
    assert!(beat(&impatient, town.id, noon()).await.unwrap());
}

async fn writer_waits_for_another_writers_lock(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let held = bed.lock_all_towns().await;
    let beat = beat(&bed.database, town.id, noon());
    let release = async {
        tokio::task::yield_now().await;
        held.commit().await.unwrap();
    };
    let (beaten, ()) = tokio::join!(beat, release);
    assert!(beaten.unwrap());
}

async fn calls_end_at_the_answer_timeout(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let hasty = bed.again(|settings| settings.answer_timeout = Duration::from_millis(150)).await;
    let held = bed.lock_all_towns().await;
    let begun = Instant::now();
    let error = beat(&hasty, town.id, noon()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(held);
}

async fn closed_database_is_unavailable(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.database.clone().close().await.unwrap();
    let error = bed.database.load(town.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    let error = bed.database.ready().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connection_is_unavailable_and_the_next_call_succeeds() {
    let bed = Bed::postgres().await;
    let town = bed.running("alice", "mill").await;
    let watcher = sea_orm::Database::connect(bed.place.url()).await.unwrap();
    let held = bed.lock_all_towns().await;
    let cut = async {
        let waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'gastown' AND wait_event_type = 'Lock'";
        let statement = || sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, waiting);
        while watcher.query_all_raw(statement()).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let (beaten, ()) = tokio::join!(beat(&bed.database, town.id, noon()), cut);
    assert!(matches!(beaten, Err(StoreError::Unavailable { .. })), "{beaten:?}");
    held.rollback().await.unwrap();
    assert!(beat(&bed.database, town.id, noon()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_dropped_is_unavailable() {
    let Bed { database, place, .. } = Bed::postgres().await;
    drop(place);
    let error = database.stranded(1).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

/// Returns an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Returns a database whose role of this name may have this many connections, and its address.
async fn with_role(bed: &Bed, role: &str, connections: i32) -> String {
    bed.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'pw' CONNECTION LIMIT {connections}")).await;
    let (server, query) = bed.place.url().split_once('?').unwrap_or((bed.place.url(), ""));
    let kept =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("user=")).map(|pair| format!("{pair}&"));
    let kept: String = kept.collect();
    let (scheme, rest) = server.split_once("://").unwrap();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{rest}?{kept}user={role}&password=pw")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_connection_is_explained_at_start_and_while_serving() {
    let bed = Bed::postgres().await;
    let town = bed.running("alice", "mill").await;
    let role = format!("gastown_test_role_{}", std::process::id());
    let url = with_role(&bed, &role, 50).await;
    bed.sql(&format!("GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let mut settings = DatabaseSettings::at(url);
    settings.connect_timeout = Duration::from_millis(600);
    let database = Database::connect(&settings).await.unwrap();
    database.load(town.id).await.unwrap();

    bed.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await;
    bed.sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")).await;
    let words = "no free connection: the limit of its server or of its role is reached";
    let mut shown = String::new();
    for _ in 0..20 {
        // The first calls may meet a session that was ended.
        shown = chain(&database.load(town.id).await.unwrap_err());
        if shown.contains(words) {
            break;
        }
    }
    let ready = chain(&database.ready().await.unwrap_err());
    let start = chain(&Database::connect(&settings).await.unwrap_err());
    bed.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    for shown in [shown, ready, start] {
        assert!(shown.contains(words) && shown.contains("too many connections for role"), "{shown}");
        assert!(!shown.contains("timed out") && !shown.contains("pw@"), "{shown}");
    }
}

#[tokio::test]
async fn a_database_without_our_tables_is_not_ready() {
    for place in [
        ephemeral_db::TestDatabase::empty_postgres().await.unwrap(),
        ephemeral_db::TestDatabase::empty_sqlite().unwrap(),
    ] {
        let database = Database::connect(&DatabaseSettings::at(place.url())).await.unwrap();
        assert!(database.ready().await.is_err());
        database.migrate().await.unwrap();
        database.ready().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_serves_two_processes_at_once() {
    let bed = Bed::sqlite().await;
    let other = bed.again(|_| {}).await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..20 {
        let database = if number % 2 == 0 { bed.database.clone() } else { other.clone() };
        running.spawn(async move {
            let town = crate::bed::new_town("alice", &format!("mill-{number}"));
            database.accept_create(&crate::bed::create_of(town)).await
        });
    }
    for outcome in running.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(other.claim_due(&worker("other"), LEASE, 100).await.unwrap().len(), 20);
}
