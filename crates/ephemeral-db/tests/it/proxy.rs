//! What a proxy loses, what it passes on, and what it leaves alone.

use std::time::Duration;

use ephemeral_db::{Cut, PostgresProxy, TestDatabase};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Row as _};

/// A database with an empty table, and a pool of one connection through a proxy.
struct Bench {
    proxy: PostgresProxy,
    pool: PgPool,
    witness: PgConnection,
    _place: TestDatabase,
}

impl Bench {
    async fn new() -> Self {
        let place = TestDatabase::empty_postgres().await.unwrap();
        let mut witness = PgConnection::connect(place.url()).await.unwrap();
        witness.execute("CREATE TABLE boxes (id int PRIMARY KEY)").await.unwrap();
        let proxy = PostgresProxy::before(place.url()).await.unwrap();
        let options = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(10));
        let pool = options.connect(proxy.url()).await.unwrap();
        Self { proxy, pool, witness, _place: place }
    }

    async fn insert(&self, id: i32) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("INSERT INTO boxes VALUES ($1)").bind(id).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// What is in the table, past the proxy.
    async fn boxes(&mut self) -> Vec<i32> {
        let rows = self.witness.fetch_all("SELECT id FROM boxes ORDER BY id").await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test]
async fn a_cut_request_writes_nothing_and_a_cut_answer_writes_and_does_not_tell() {
    let mut bench = Bench::new().await;
    for (cut, id, want) in [(Cut::Request, 1, vec![]), (Cut::Answer, 2, vec![2])] {
        bench.proxy.cut_nth_commit(1, cut);
        let error = bench.insert(id).await.unwrap_err();
        assert!(matches!(error, sqlx::Error::Io(_)), "{cut:?}: {error:?}");
        assert_eq!(bench.boxes().await, want, "{cut:?}");
    }
    bench.insert(3).await.unwrap();
    assert_eq!(bench.boxes().await, [2, 3]);
    assert_eq!((bench.proxy.commits(), bench.proxy.strokes()), (3, 2));
}

#[tokio::test]
async fn silence_keeps_whoever_asked_waiting_until_it_gives_up() {
    let mut bench = Bench::new().await;
    bench.proxy.cut_nth_commit(1, Cut::Silence);
    let mut connection = PgConnection::connect(bench.proxy.url()).await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    tx.execute("INSERT INTO boxes VALUES (1)").await.unwrap();
    let mut answered = std::pin::pin!(tx.commit());
    while bench.proxy.strokes() == 0 {
        // It is polled meanwhile; an answer would end this.
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut answered).await.is_err());
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut answered).await.is_err());
    assert_eq!(bench.boxes().await, [1]);
}

#[tokio::test]
async fn the_nth_commit_from_now_is_struck_and_no_other() {
    let mut bench = Bench::new().await;
    bench.insert(1).await.unwrap();
    bench.proxy.cut_nth_commit(2, Cut::Request);
    bench.insert(2).await.unwrap();
    assert!(bench.insert(3).await.is_err());
    bench.insert(4).await.unwrap();
    bench.proxy.cut_nth_commit(1, Cut::Request);
    bench.proxy.spare();
    bench.insert(5).await.unwrap();
    assert_eq!(bench.boxes().await, [1, 2, 4, 5]);
    assert_eq!((bench.proxy.commits(), bench.proxy.strokes()), (5, 1));
}

#[tokio::test]
async fn what_wrote_nothing_or_was_undone_is_no_commit() {
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
    assert_eq!((bench.proxy.commits(), bench.proxy.strokes()), (1, 0));
    assert!(bench.insert(3).await.is_err());
    assert_eq!(bench.boxes().await, [1]);
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_is_not_struck_and_its_answer_is_passed_on() {
    let mut bench = Bench::new().await;
    bench.witness.execute("ALTER TABLE boxes ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED").await.unwrap();
    bench.witness.execute("ALTER TABLE boxes DROP CONSTRAINT boxes_pkey").await.unwrap();
    bench.insert(1).await.unwrap();
    bench.proxy.cut_nth_commit(1, Cut::Answer);
    let error = bench.insert(1).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::Database(_)), "{error:?}");
    bench.insert(2).await.unwrap();
    assert_eq!(bench.proxy.strokes(), 0);
    assert_eq!(bench.boxes().await, [1, 2]);
}

#[tokio::test]
async fn long_questions_and_answers_pass_whole() {
    let bench = Bench::new().await;
    let long = "Q\0\0\0\x0bCOMMIT".replace('\0', "0").repeat(200_000);
    let row = sqlx::query("SELECT $1 || $1").bind(&long).fetch_one(&bench.pool).await.unwrap();
    assert_eq!(row.get::<String, _>(0), long.repeat(2));
}

#[tokio::test]
async fn everything_of_a_proxy_ends_with_it() {
    let Bench { proxy, pool, mut witness, _place } = Bench::new().await;
    let url = proxy.url().to_owned();
    let mut connection = pool.acquire().await.unwrap();
    drop(proxy);
    assert!(connection.execute("SELECT 1").await.is_err());
    assert!(PgConnection::connect(&url).await.is_err());
    witness.execute("SELECT 1").await.unwrap();
}
