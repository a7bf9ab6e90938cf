//! The settings of pools and sessions.

use ephemeral_db::{PostgresProxy, TestDatabase};
use sea_orm::{ConnectionTrait as _, Statement, TransactionTrait as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

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

/// Relays a connection, and replaces a text of the client by one of the same length, as a pooler might do.
async fn relay(client: TcpStream, server: TcpStream, from: &'static str, to: &'static str) {
    let ((mut client, mut to_client), (mut server, mut to_server)) = (client.into_split(), server.into_split());
    let upstream = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = client.read(&mut buffer).await {
            let mut sent = buffer[..count].to_vec();
            if let Some(place) = sent.windows(from.len()).position(|text| text == from.as_bytes()) {
                sent[place..place + to.len()].copy_from_slice(to.as_bytes());
            }
            to_server.write_all(&sent).await.unwrap();
        }
    };
    let _ended = tokio::join!(upstream, tokio::io::copy(&mut server, &mut to_client));
}

/// Returns the address of a pooler in front of a database, which replaces a text of its clients.
async fn pooler(url: &str, from: &'static str, to: &'static str) -> String {
    assert_eq!(from.len(), to.len());
    let (_, server) = url.split_once("127.0.0.1:").unwrap();
    let server: String = server.chars().take_while(char::is_ascii_digit).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url.replace(&format!(":{server}"), &format!(":{}", listener.local_addr().unwrap().port()));
    let port: u16 = server.parse().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(relay(client, server, from, to));
        }
    });
    url
}

#[tokio::test]
async fn session_that_ignores_a_setting_is_refused() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    let proxy = PostgresProxy::in_front_of(place.url()).await.unwrap();
    for (from, to, name) in [
        ("SET synchronous_commit = 'on'", "SET synchronous_commit='off' ", "synchronous_commit"),
        ("SET statement_timeout = '15000'", "SET statement_timeout = '00000'", "statement_timeout"),
    ] {
        let error = Database::connect(&DatabaseSettings::at(pooler(proxy.url(), from, to).await)).await.unwrap_err();
        let ConnectError::Session(SessionError::Ignored { name: found, .. }) = &error else { panic!("{error:?}") };
        assert_eq!(*found, name);
        assert!(error.to_string().contains("a pooler that ignores SET is not supported"), "{error}");
    }
    let unchanged = pooler(proxy.url(), "SET nothing", "SET nothing").await;
    Database::connect(&DatabaseSettings::at(unchanged)).await.unwrap();
}

#[tokio::test]
async fn options_of_the_start_are_not_needed() {
    // A pooler that drops them would leave those of the database.
    let place = TestDatabase::empty_postgres().await.unwrap();
    let database = pool_of_one(place.url(), Duration::from_secs(5)).await;
    let DatabaseAddress::Postgres(address) = place.url().parse().unwrap() else { panic!("{}", place.url()) };
    assert_eq!(address.options().get_options(), None);
    assert_eq!(text(&database, "SHOW statement_timeout").await, "5s");
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
        ("statement_timeout", "5s"),
        ("client_encoding", "UTF8"),
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
