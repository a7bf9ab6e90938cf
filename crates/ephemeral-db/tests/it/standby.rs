//! Hot standbys, failovers to them, and the proxy in front of both.

use std::time::Duration;

use ephemeral_db::{Cluster, PostgresProxy};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn boxes(connection: &mut PgConnection) -> Vec<i32> {
    let rows = connection.fetch_all("SELECT id FROM boxes ORDER BY id").await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn failovers_keep_every_commit() {
    let mut primary = Cluster::start_replicated().await.unwrap();
    connect(primary.url()).await.execute("CREATE TABLE boxes (id int PRIMARY KEY)").await.unwrap();
    for id in 1..=2 {
        let standby = primary.start_standby().await.unwrap();
        primary.commit_on_standby().await.unwrap();
        let insert = format!("INSERT INTO boxes VALUES ({id})");
        connect(primary.url()).await.execute(sqlx::AssertSqlSafe(insert)).await.unwrap();
        let refused = connect(standby.url()).await.execute("INSERT INTO boxes VALUES (9)").await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
        assert_eq!(code.as_deref(), Some("25006"), "{refused:?}");

        primary.crash().await.unwrap();
        standby.promote().await.unwrap();
        let expected: Vec<i32> = (1..=id).collect();
        assert_eq!(boxes(&mut connect(standby.url()).await).await, expected);
        // The former primary is removed, and the next round makes a new standby.
        primary = standby;
    }
    connect(primary.url()).await.execute("INSERT INTO boxes VALUES (3)").await.unwrap();
}

#[tokio::test]
async fn proxy_leads_new_connections_to_another_server() {
    let (one, other) = (Cluster::start().await.unwrap(), Cluster::start().await.unwrap());
    connect(other.url()).await.execute("CREATE TABLE boxes (id int PRIMARY KEY)").await.unwrap();
    let proxy = PostgresProxy::in_front_of(one.url()).await.unwrap();
    let mut before = connect(proxy.url()).await;
    proxy.redirect(other.url()).unwrap();
    before.execute("SELECT FROM boxes").await.unwrap_err();
    assert_eq!(boxes(&mut connect(proxy.url()).await).await, [0; 0]);
    before.ping().await.unwrap();
    proxy.disconnect();
    before.ping().await.unwrap_err();
    connect(proxy.url()).await.ping().await.unwrap();
}

#[tokio::test]
async fn nothing_passes_a_cut_network_until_it_is_repaired() {
    let cluster = Cluster::start().await.unwrap();
    let proxy = PostgresProxy::in_front_of(cluster.url()).await.unwrap();
    let mut connection = connect(proxy.url()).await;
    proxy.set_network_cut(true);
    let (url, mut ping) = (proxy.url().to_owned(), tokio::spawn(async move { connection.ping().await }));
    let mut connecting = tokio::spawn(async move { PgConnection::connect(&url).await.map(|_| ()) });
    let waits = Duration::from_millis(100);
    assert!(tokio::time::timeout(waits, &mut ping).await.is_err() && !connecting.is_finished());
    proxy.set_network_cut(false);
    ping.await.unwrap().unwrap();
    (&mut connecting).await.unwrap().unwrap();
}
