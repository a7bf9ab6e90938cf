//! Failed connections, in words.

use std::time::{Duration, Instant};

use ephemeral_db::TestDatabase;
use migration::address::{DatabaseAddress, PostgresAddress};
use migration::postgres::{ConnectFailure, connect};
use migration::{MigrateError, at_url};
use sea_orm_migration::sea_orm::ConnectionTrait as _;

use crate::database;

fn postgres(address: &str) -> PostgresAddress {
    match address.parse() {
        Ok(DatabaseAddress::Postgres(postgres)) => *postgres,
        other => panic!("{address}: {other:?}"),
    }
}

/// Returns the address of another database of the same server.
fn beside(url: &str, name: &str) -> String {
    let (server, query) =
        url.split_once('?').map_or((url, String::new()), |(server, query)| (server, format!("?{query}")));
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}{query}")
}

#[tokio::test]
async fn closed_port_is_named_within_the_limit() {
    let begun = Instant::now();
    let failure =
        connect(&postgres("postgres://u:canary@127.0.0.1:1/db"), Duration::from_millis(400)).await.unwrap_err();
    assert!(matches!(failure, ConnectFailure::NotListening(_)), "{failure:?}");
    assert_eq!(failure.to_string(), "no database server listens at this host and port");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn server_that_does_not_answer_is_named() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = postgres(&format!("postgres://u@{}/db", silent.local_addr().unwrap()));
    let failure = connect(&address, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(failure.to_string(), "the database did not answer within 300ms");
}

#[tokio::test]
async fn database_without_utf8_is_refused() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    let admin = database::connect(place.url()).await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("gastown_test_{}_{}", encoding.to_lowercase(), std::process::id());
        let create = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        admin.execute_unprepared(&create).await.unwrap();
        let error = at_url::up(&beside(place.url(), &name)).await.unwrap_err();
        admin.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        let MigrateError::Postgres(ConnectFailure::Encoding { found }) = &error else { panic!("{error:?}") };
        assert_eq!(found, encoding);
        assert!(error.to_string().contains("must be UTF8"), "{error}");
    }
}
