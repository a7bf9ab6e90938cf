//! Tests of the proxy: the commits that it cuts, and everything that it forwards.

use std::time::Duration;

use ephemeral_db::{Cut, PostgresProxy, TestDatabase};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Row as _};

/// A database with an empty table, and a pool of one connection through a proxy.
struct Bench {
    proxy: PostgresProxy,
    pool: PgPool,
    /// A connection that bypasses the proxy.
    direct: PgConnection,
    _database: TestDatabase,
}

impl Bench {
    async fn new() -> Self {
        let database = TestDatabase::empty_postgres().await.unwrap();
        let mut direct = PgConnection::connect(database.url()).await.unwrap();
        direct.execute("CREATE TABLE boxes (id int PRIMARY KEY)").await.unwrap();
        let proxy = PostgresProxy::in_front_of(database.url()).await.unwrap();
        let options = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(10));
        let pool = options.connect(proxy.url()).await.unwrap();
        Self { proxy, pool, direct, _database: database }
    }

    async fn insert(&self, id: i32) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("INSERT INTO boxes VALUES ($1)").bind(id).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// Reads the table without the proxy.
    async fn boxes(&mut self) -> Vec<i32> {
        let rows = self.direct.fetch_all("SELECT id FROM boxes ORDER BY id").await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test]
async fn cut_request_is_rolled_back_and_cut_answer_is_committed() {
    let mut bench = Bench::new().await;
    for (cut, id, want) in [(Cut::Request, 1, vec![]), (Cut::Answer, 2, vec![2])] {
        bench.proxy.cut_nth_commit(1, cut);
        let error = bench.insert(id).await.unwrap_err();
        assert!(matches!(error, sqlx::Error::Io(_)), "{cut:?}: {error:?}");
        assert_eq!(bench.boxes().await, want, "{cut:?}");
    }
    bench.insert(3).await.unwrap();
    assert_eq!(bench.boxes().await, [2, 3]);
    assert_eq!((bench.proxy.commits(), bench.proxy.cuts()), (3, 2));
}

#[tokio::test]
async fn statement_outside_of_a_transaction_is_a_commit() {
    let mut bench = Bench::new().await;
    let insert = async |bench: &Bench, id: i32| {
        sqlx::query("INSERT INTO boxes VALUES ($1) RETURNING id").bind(id).fetch_all(&bench.pool).await
    };
    for (cut, id, want) in [(Cut::Request, 1, vec![]), (Cut::Answer, 2, vec![2])] {
        bench.proxy.cut_nth_commit(1, cut);
        let error = insert(&bench, id).await.unwrap_err();
        assert!(matches!(error, sqlx::Error::Io(_)), "{cut:?}: {error:?}");
        assert_eq!(bench.boxes().await, want, "{cut:?}");
    }
    insert(&bench, 3).await.unwrap();
    // A refused statement and one that changes nothing are not commits.
    bench.proxy.cut_nth_commit(1, Cut::Answer);
    assert!(matches!(insert(&bench, 3).await.unwrap_err(), sqlx::Error::Database(_)));
    sqlx::query("UPDATE boxes SET id = 4 WHERE id = $1").bind(7).execute(&bench.pool).await.unwrap();
    assert_eq!(bench.boxes().await, [2, 3]);
    assert_eq!((bench.proxy.commits(), bench.proxy.cuts()), (3, 2));
}

#[tokio::test]
async fn silence_keeps_the_client_waiting() {
    let mut bench = Bench::new().await;
    bench.proxy.cut_nth_commit(1, Cut::Silence);
    let mut connection = PgConnection::connect(bench.proxy.url()).await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    tx.execute("INSERT INTO boxes VALUES (1)").await.unwrap();
    let mut commit = std::pin::pin!(tx.commit());
    while bench.proxy.cuts() == 0 {
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut commit).await.is_err());
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut commit).await.is_err());
    assert_eq!(bench.boxes().await, [1]);
}

#[tokio::test]
async fn only_the_nth_commit_from_now_is_cut() {
    let mut bench = Bench::new().await;
    bench.insert(1).await.unwrap();
    bench.proxy.cut_nth_commit(2, Cut::Request);
    bench.insert(2).await.unwrap();
    assert!(bench.insert(3).await.is_err());
    bench.insert(4).await.unwrap();
    bench.proxy.cut_nth_commit(1, Cut::Request);
    bench.proxy.cancel_cut();
    bench.insert(5).await.unwrap();
    assert_eq!(bench.boxes().await, [1, 2, 4, 5]);
    assert_eq!((bench.proxy.commits(), bench.proxy.cuts()), (5, 1));
}

#[tokio::test]
async fn transactions_without_changes_and_rollbacks_are_not_counted() {
    let mut bench = Bench::new().await;
    bench.insert(1).await.unwrap();
    bench.proxy.cut_nth_commit(1, Cut::Request);
    for statement in ["SELECT * FROM boxes FOR UPDATE", "UPDATE boxes SET id = 2 WHERE id = 7"] {
        let mut tx = bench.pool.begin().await.unwrap();
        tx.execute(statement).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = bench.pool.begin().await.unwrap();
    tx.execute("INSERT INTO boxes VALUES (2)").await.unwrap();
    tx.rollback().await.unwrap();
    let mut empty = bench.pool.begin().await.unwrap();
    empty.execute("SELECT 1").await.unwrap();
    empty.commit().await.unwrap();
    assert_eq!((bench.proxy.commits(), bench.proxy.cuts()), (1, 0));
    assert!(bench.insert(3).await.is_err());
    assert_eq!(bench.boxes().await, [1]);
}

#[tokio::test]
async fn refused_commit_is_not_cut_and_its_error_is_forwarded() {
    let mut bench = Bench::new().await;
    bench.direct.execute("ALTER TABLE boxes ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED").await.unwrap();
    bench.direct.execute("ALTER TABLE boxes DROP CONSTRAINT boxes_pkey").await.unwrap();
    bench.insert(1).await.unwrap();
    bench.proxy.cut_nth_commit(1, Cut::Answer);
    let error = bench.insert(1).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::Database(_)), "{error:?}");
    bench.insert(2).await.unwrap();
    assert_eq!(bench.proxy.cuts(), 0);
    assert_eq!(bench.boxes().await, [1, 2]);
}

#[tokio::test]
async fn long_requests_and_answers_are_forwarded_completely() {
    let bench = Bench::new().await;
    let long = "Q\0\0\0\x0bCOMMIT".replace('\0', "0").repeat(200_000);
    let row = sqlx::query("SELECT $1 || $1").bind(&long).fetch_one(&bench.pool).await.unwrap();
    assert_eq!(row.get::<String, _>(0), long.repeat(2));
}

#[tokio::test]
async fn connections_end_when_the_proxy_is_dropped() {
    let Bench { proxy, pool, mut direct, _database } = Bench::new().await;
    let url = proxy.url().to_owned();
    let mut connection = pool.acquire().await.unwrap();
    drop(proxy);
    assert!(connection.execute("SELECT 1").await.is_err());
    assert!(PgConnection::connect(&url).await.is_err());
    direct.execute("SELECT 1").await.unwrap();
}
