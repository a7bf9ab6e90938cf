//! The number of statements and round trips to Postgres. `src/reads/tests.rs` counts the statements on SQLite.

use ephemeral_db::PostgresProxy;
use gastown_domain::ports::{Caller, Readiness as _, Registry as _, VerifiedToken};
use gastown_persistence::{Database, DatabaseSettings};

use crate::bed::{Bed, rig, user};

/// Returns the statements and the round trips of a call.
async fn cost<T>(proxy: &PostgresProxy, call: impl Future<Output = T>) -> (u64, u64) {
    let before = (proxy.statements(), proxy.round_trips());
    call.await;
    (proxy.statements() - before.0, proxy.round_trips() - before.1)
}

#[tokio::test]
async fn each_read_is_one_statement_and_one_round_trip() {
    let bed = Bed::postgres().await;
    let town = bed.running("alice", "mill").await;
    gastown_domain::ports::Rigs::insert(&bed.database, &user("alice"), &rig(town.id, "app"), u32::MAX).await.unwrap();
    let proxy = PostgresProxy::in_front_of(bed.place.url()).await.unwrap();
    let database = Database::connect(&DatabaseSettings::at(proxy.url())).await.unwrap();
    let caller = Caller::Token(VerifiedToken { user: user("alice"), pepper: Some("salt".into()) });
    let report = async || assert!(database.report(&caller, town.id).await.unwrap().is_some());
    let town_alone = async || assert!(database.callers_town(&caller, town.id).await.unwrap().is_some());
    let list = async || assert_eq!(database.list(&caller).await.unwrap().len(), 1);
    // The first calls connect and prepare.
    report().await;
    town_alone().await;
    list().await;
    for _ in 0..3 {
        assert_eq!(cost(&proxy, report()).await, (1, 1));
        assert_eq!(cost(&proxy, town_alone()).await, (1, 1));
        assert_eq!(cost(&proxy, list()).await, (1, 1));
    }
    database.ready().await.unwrap();
}
