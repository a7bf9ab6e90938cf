//! A real PgBouncer. Its session mode works. The other modes are noticed before anything is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ephemeral_db::{PgBouncer, PoolMode, TestDatabase};
use migration::address::DatabaseAddress;
use migration::postgres::{ConnectFailure, connect};
use migration::{MigrateError, at_url};
use sea_orm_migration::sea_orm::ConnectionTrait as _;
use sea_orm_migration::sea_orm::sqlx::{self, ConnectOptions as _, Executor as _, PgConnection};
use tokio::task::JoinSet;

use crate::database;

/// The pooler gives out the connection that was unused for longest, instead of the one that was used last.
const IN_TURN: &str = "server_round_robin = 1";

/// Connects with the options of the service.
async fn client(url: &str) -> PgConnection {
    let DatabaseAddress::Postgres(address) = url.parse().unwrap() else { panic!("{url}") };
    address.options().connect().await.unwrap()
}

async fn assert_noticed(pooler: &PgBouncer, what: &str) {
    let done = at_url::up(pooler.url()).await;
    assert!(matches!(done, Err(MigrateError::Postgres(ConnectFailure::SharedSessions))), "{what}: {done:?}");
}

async fn assert_empty(place: &TestDatabase) {
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database::texts(&database::connect(place.url()).await, tables).await, Vec::<String>::new());
}

/// Makes the pooler open this many connections: so many clients wait for a lock at once.
async fn fill(pooler: &PgBouncer, place: &TestDatabase, connections: u32) {
    let holder = database::connect(place.url()).await;
    holder.execute_unprepared("SELECT pg_advisory_lock(1)").await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let mut client = client(pooler.url()).await;
        clients.spawn(async move { client.execute("SELECT pg_advisory_xact_lock_shared(1)").await.map(|_| ()) });
    }
    let waiting = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while database::texts(&holder, waiting).await != [connections.to_string()] {
        tokio::task::yield_now().await;
    }
    holder.close().await.unwrap();
    assert!(clients.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_sessions_are_noticed_before_anything_is_written() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        for (connections, settings) in
            [(1, &[][..]), (2, &[]), (20, &[]), (1, &[IN_TURN]), (2, &[IN_TURN]), (20, &[IN_TURN])]
        {
            let pooler = PgBouncer::in_front_of(place.url(), mode, connections, settings).await.unwrap();
            let what = format!("{mode:?}, {connections} connections, {settings:?}");
            assert_noticed(&pooler, &what).await;
            fill(&pooler, &place, connections).await;
            for _ in 0..3 {
                assert_noticed(&pooler, &what).await;
            }
        }
    }
    assert_empty(&place).await;
}

/// Runs clients that use the pooler all the time, until the flag is set.
fn load(pooler: &PgBouncer, clients: usize, ended: &Arc<AtomicBool>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for number in 0..clients {
        let (url, ended) = (pooler.url().to_owned(), Arc::clone(ended));
        running.spawn(async move {
            let mut client = client(&url).await;
            while !ended.load(Ordering::SeqCst) {
                let work = ["SELECT 1", "BEGIN; SELECT 1; COMMIT", "SELECT count(*) FROM pg_class"][number % 3];
                client.execute(sqlx::raw_sql(work)).await.unwrap();
            }
        });
    }
    running
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_sessions_are_noticed_among_busy_clients() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    for (connections, clients) in [(1, 3), (3, 6), (20, 6)] {
        for settings in [&[][..], &[IN_TURN]] {
            let pooler =
                PgBouncer::in_front_of(place.url(), PoolMode::Transaction, connections, settings).await.unwrap();
            fill(&pooler, &place, connections).await;
            let ended = Arc::new(AtomicBool::new(false));
            let running = load(&pooler, clients, &ended);
            for _ in 0..10 {
                assert_noticed(&pooler, &format!("{connections} connections, {clients} clients, {settings:?}")).await;
            }
            ended.store(true, Ordering::SeqCst);
            running.join_all().await;
        }
    }
    assert_empty(&place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_mode_migrates_up_and_down() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    for settings in [&[][..], &[IN_TURN]] {
        let pooler = PgBouncer::in_front_of(place.url(), PoolMode::Session, 5, settings).await.unwrap();
        let mut at_once = JoinSet::new();
        for _ in 0..2 {
            let url = pooler.url().to_owned();
            at_once.spawn(async move { at_url::up(&url).await });
        }
        assert!(at_once.join_all().await.iter().all(Result::is_ok));
        assert!(at_url::status(pooler.url()).await.unwrap().iter().all(|migration| migration.applied));
        at_url::down(pooler.url(), None).await.unwrap();
    }
}

#[tokio::test]
async fn pooler_with_one_session_is_named() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    let pooler = PgBouncer::in_front_of(place.url(), PoolMode::Session, 1, &[]).await.unwrap();
    let DatabaseAddress::Postgres(address) = pooler.url().parse().unwrap() else { panic!("{}", pooler.url()) };
    let failure = connect(&address, Duration::from_millis(400)).await.unwrap_err();
    assert!(matches!(failure, ConnectFailure::NoSecondSession { .. }), "{failure:?}");
    assert!(failure.to_string().contains("default_pool_size"), "{failure}");
}
