//! Removal of old events, idempotency keys and the contents of tombstones.

use std::time::Duration;

use gastown_domain::OperationKind;
use gastown_domain::ports::{History as _, NewCreate, Operations as _, Registry as _, Requested};

use crate::bed::{Bed, assert_inserted, create_of, keyed, new_town, on_both, request, rig};

on_both! {
    old_events_are_deleted_in_batches,
    events_of_an_operation_in_flight_are_kept,
    old_keys_are_forgotten_and_their_events_kept,
    old_tombstones_are_emptied_once,
}

/// Twenty years, which no row of a test has unless it was moved into the past.
const AGE: Duration = Duration::from_secs(20 * 365 * 86_400);
const EVENTS: &str = "SELECT count(*) FROM gastown_town_events";
const KEYS: &str = "SELECT count(*) FROM gastown_town_events WHERE idempotency_key IS NOT NULL";
const EMPTIED: &str = "SELECT count(*) FROM gastown_towns WHERE config IS NULL";
const RIGS: &str = "SELECT count(*) FROM gastown_rigs";

/// Moves all events and tombstones into the year 2000.
async fn age_everything(bed: &Bed) {
    for (table, column) in [("gastown_town_events", "at"), ("gastown_towns", "destroyed_at")] {
        let old = "2000-01-02T03:04:05+00:00";
        bed.sql(&format!("UPDATE {table} SET {column} = '{old}' WHERE {column} IS NOT NULL")).await;
    }
}

async fn old_events_are_deleted_in_batches(bed: Bed) {
    for name in ["mill", "inn", "forge"] {
        bed.running("alice", name).await;
    }
    assert_eq!(bed.number(EVENTS).await, 6);
    assert_eq!(bed.database.delete_events(AGE, 100).await.unwrap(), 0, "nothing is old");
    age_everything(&bed).await;
    let deleted =
        [bed.database.delete_events(AGE, 4).await.unwrap(), bed.database.delete_events(AGE, 4).await.unwrap()];
    assert_eq!((deleted, bed.number(EVENTS).await), ([4, 2], 0));
}

async fn events_of_an_operation_in_flight_are_kept(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let stop = request(&town, OperationKind::Stop);
    assert!(matches!(bed.database.request(&stop).await, Ok(Requested::Accepted(_))));
    age_everything(&bed).await;
    assert_eq!(bed.database.delete_events(AGE, 100).await.unwrap(), 0);
    assert_eq!(bed.number(EVENTS).await, 3);
}

async fn old_keys_are_forgotten_and_their_events_kept(bed: Bed) {
    let create = keyed(create_of(new_town("alice", "mill")), "k1");
    assert_inserted(&bed.database.accept_create(&create).await);
    age_everything(&bed).await;
    assert_eq!(bed.database.forget_keys(AGE, 100).await.unwrap(), 0, "the create is in flight");
    bed.destroy(&bed.database.load(create.town.id).await.unwrap().unwrap()).await;
    assert_eq!(bed.database.forget_keys(AGE, 100).await.unwrap(), 1);
    assert_eq!(bed.database.forget_keys(AGE, 100).await.unwrap(), 0);
    assert_eq!((bed.number(KEYS).await, bed.number(EVENTS).await > 1), (0, true));
    // The key can be used again.
    assert_inserted(&bed.database.accept_create(&keyed(create_of(new_town("alice", "mill")), "k1")).await);
}

async fn old_tombstones_are_emptied_once(bed: Bed) {
    for (name, is_destroyed) in [("mill", true), ("inn", false), ("forge", true)] {
        let create = create_of(new_town("alice", name));
        let rigs = vec![rig(create.town.id, "app")];
        let create = NewCreate { town: gastown_domain::NewTown { rigs, ..create.town }, ..create };
        assert_inserted(&bed.database.accept_create(&create).await);
        if is_destroyed {
            bed.destroy(&bed.database.load(create.town.id).await.unwrap().unwrap()).await;
        }
    }
    assert_eq!(bed.database.empty_tombstones(AGE, 100).await.unwrap(), 0, "none is old");
    age_everything(&bed).await;
    let emptied =
        [bed.database.empty_tombstones(AGE, 1).await.unwrap(), bed.database.empty_tombstones(AGE, 100).await.unwrap()];
    assert_eq!((emptied, bed.number(EMPTIED).await, bed.number(RIGS).await), ([1, 1], 2, 1));
    assert_eq!(bed.database.empty_tombstones(AGE, 100).await.unwrap(), 0);
    // A tombstone that still holds a resource is kept whole.
    bed.sql("UPDATE gastown_towns SET config = '{}', fly_volume_id = 'vol_1' WHERE destroyed_at IS NOT NULL").await;
    assert_eq!(bed.database.empty_tombstones(AGE, 100).await.unwrap(), 0);
}
