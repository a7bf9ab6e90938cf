//! Reads, probes, background work and everything else do not wait for each other's connections.

use std::time::Duration;

use gastown_domain::ports::{Caller, Readiness as _, Registry as _, StoreError, TownState};
use gastown_domain::{Town, TownId};
use gastown_persistence::Database;
use sea_orm::{ConnectionTrait as _, DbBackend, TransactionTrait as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bed::{Bed, beat, create_of, new_town, noon, on_both, user};

on_both! {
    slow_background_work_delays_no_caller,
    slow_changes_delay_no_read,
    many_reads_delay_no_change,
}

/// Far below the time that a call waits for a lock.
const SOON: Duration = Duration::from_secs(2);

/// Returns the result of a call that must not wait for the lock.
async fn in_time<T>(what: &str, call: impl Future<Output = T>) -> T {
    timeout(SOON, call).await.unwrap_or_else(|_| panic!("{what}"))
}

/// Starts more calls than there are connections. Each waits for the lock of the town.
fn blocked(database: &Database, town: TownId) -> JoinSet<Result<bool, StoreError>> {
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let database = database.clone();
        calls.spawn(async move { beat(&database, town, noon()).await });
    }
    calls
}

/// Waits until a call through this handle finds no connection.
async fn exhausted(database: &Database, town: TownId) {
    while timeout(Duration::from_millis(50), database.load(town)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

async fn read(database: &Database, town: &Town) {
    let alice = Caller::Trusted(user("alice"));
    let shown = in_time("the report waits", database.report(&alice, town.id)).await.unwrap();
    assert_eq!(shown.map(|shown| shown.town).as_ref(), Some(town));
    let listed = in_time("the list waits", database.list(&alice)).await.unwrap();
    assert_eq!(listed, [TownState::idle(town.clone()).into()]);
    in_time("the probe waits", database.ready()).await.unwrap();
}

async fn slow_background_work_delays_no_caller(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let held = bed.lock_all_towns().await;
    let background = bed.database.background();
    let calls = blocked(&background, town.id);
    exhausted(&background, town.id).await;
    read(&bed.database, &town).await;
    in_time("a caller waits", bed.database.load(town.id)).await.unwrap();
    if bed.raw.get_database_backend() == DbBackend::Postgres {
        // SQLite has only one writer.
        let create = create_of(new_town("bob", "forge"));
        in_time("a create waits", bed.database.accept_create(&create)).await.unwrap();
    }
    held.rollback().await.unwrap();
    assert!(calls.join_all().await.into_iter().all(|done| done.unwrap()));
}

pub(crate) async fn slow_changes_delay_no_read(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let held = bed.lock_all_towns().await;
    let calls = blocked(&bed.database, town.id);
    exhausted(&bed.database, town.id).await;
    read(&bed.database, &town).await;
    held.rollback().await.unwrap();
    assert!(calls.join_all().await.into_iter().all(|done| done.unwrap()));
}

pub(crate) async fn many_reads_delay_no_change(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let mut reads = JoinSet::new();
    for _ in 0..200 {
        let (database, town) = (bed.database.clone(), town.id);
        reads.spawn(async move { database.report(&Caller::Trusted(user("alice")), town).await.unwrap() });
    }
    assert!(in_time("a change waits", beat(&bed.database, town.id, noon())).await.unwrap());
    assert!(reads.join_all().await.iter().all(Option::is_some));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_survives_the_end_of_its_idle_connection() {
    let bed = Bed::postgres().await;
    let town = bed.running("alice", "mill").await;
    read(&bed.database, &town).await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                  AND application_name = 'gastown' AND pid <> pg_backend_pid()";
    bed.sql(others).await;
    read(&bed.database, &town).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_read_leaves_no_broken_connection() {
    let bed = Bed::postgres().await;
    let town = bed.running("alice", "mill").await;
    let narrow = bed.again(|settings| (settings.max_connections, settings.read_connections) = (2, 1)).await;
    read(&narrow, &town).await;
    let held = bed.raw.begin().await.unwrap();
    held.execute_unprepared("LOCK TABLE gastown_rigs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let alice = Caller::Trusted(user("alice"));
    assert!(timeout(Duration::from_millis(50), narrow.report(&alice, town.id)).await.is_err(), "the read waits");
    held.rollback().await.unwrap();
    for _ in 0..3 {
        read(&narrow, &town).await;
    }
}
