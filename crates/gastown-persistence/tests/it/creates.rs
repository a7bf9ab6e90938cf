//! Concurrent and repeated creates, and the limit of towns.

use gastown_domain::OperationKind;
use gastown_domain::ports::{
    AcceptedCreate, NewCreate, NewOperation, Operations as _, Registry as _, Requested, StoreError,
};
use gastown_persistence::Database;

use crate::bed::{Bed, assert_inserted, create_of, keyed, new_town, on_both, request, rig, user};

on_both! {
    one_of_twenty_parallel_creates_of_one_name_wins,
    create_by_an_unknown_user_is_refused,
    create_with_duplicate_rig_names_is_refused,
    repeat_with_the_same_key_returns_the_same_town_even_if_destroyed,
    key_with_a_different_request_is_refused,
    key_without_a_fingerprint_compares_the_name,
    parallel_repeats_with_one_key_return_one_town,
    parallel_creates_with_one_key_and_different_names_make_one_town,
    parallel_creates_do_not_exceed_the_limit,
    repeat_succeeds_at_the_limit_and_destroyed_towns_do_not_count,
    operations_in_flight_of_a_user_are_limited,
}

/// Accepts these creates concurrently.
async fn all_at_once(
    database: &Database,
    creates: impl Iterator<Item = NewCreate>,
) -> Vec<Result<AcceptedCreate, StoreError>> {
    let mut running = tokio::task::JoinSet::new();
    for create in creates {
        let database = database.clone();
        running.spawn(async move { database.accept_create(&create).await });
    }
    running.join_all().await
}

fn inserted(answers: &[Result<AcceptedCreate, StoreError>]) -> usize {
    answers.iter().filter(|answer| matches!(answer, Ok(AcceptedCreate::Inserted(_)))).count()
}

async fn one_of_twenty_parallel_creates_of_one_name_wins(bed: Bed) {
    let creates = (0..20).map(|_| create_of(new_town("alice", "mill")));
    let (won, lost): (Vec<_>, Vec<_>) = all_at_once(&bed.database, creates).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|l| matches!(l, Err(StoreError::TownNameTaken))), "{lost:?}");
    for table in ["gastown_towns", "gastown_operations", "gastown_town_events"] {
        assert_eq!(bed.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
    }
}

async fn create_by_an_unknown_user_is_refused(bed: Bed) {
    let refused = bed.database.accept_create(&create_of(new_town("unknown", "mill"))).await;
    assert!(matches!(refused, Err(StoreError::UserUnknown)), "{refused:?}");
}

async fn create_with_duplicate_rig_names_is_refused(bed: Bed) {
    let mut create = create_of(new_town("alice", "mill"));
    create.town.rigs = vec![rig(create.town.id, "App"), rig(create.town.id, "aPP")];
    let refused = bed.database.accept_create(&create).await;
    assert!(matches!(refused, Err(StoreError::RigNameTaken)), "{refused:?}");
    assert_eq!(bed.database.load(create.town.id).await.unwrap(), None);
}

async fn repeat_with_the_same_key_returns_the_same_town_even_if_destroyed(bed: Bed) {
    let ask = |owner: &str, name: &str| keyed(create_of(new_town(owner, name)), "k1");
    let first = ask("alice", "mill");
    bed.database.accept_create(&first).await.unwrap();
    let known = AcceptedCreate::Known { town: first.town.id, operation: first.operation.id };
    assert_eq!(bed.database.accept_create(&ask("alice", "mill")).await.unwrap(), known);

    let other = bed.database.accept_create(&ask("alice", "forge")).await;
    assert!(matches!(other, Err(StoreError::KeyReused)), "{other:?}");
    assert_inserted(&bed.database.accept_create(&ask("bob", "mill")).await);

    bed.destroy(&bed.database.load(first.town.id).await.unwrap().unwrap()).await;
    assert_eq!(bed.database.accept_create(&ask("alice", "mill")).await.unwrap(), known);
}

async fn key_with_a_different_request_is_refused(bed: Bed) {
    let first = keyed(create_of(new_town("alice", "mill")), "k1");
    bed.database.accept_create(&first).await.unwrap();
    let mut elsewhere = new_town("alice", "mill");
    elsewhere.region = "ams".parse().unwrap();
    let mut configured = new_town("alice", "mill");
    configured.config.max_polecats = Some(3);
    for other in [elsewhere, configured] {
        let refused = bed.database.accept_create(&keyed(create_of(other), "k1")).await;
        assert!(matches!(refused, Err(StoreError::KeyReused)), "{refused:?}");
    }
    assert_eq!(bed.number("SELECT count(*) FROM gastown_towns").await, 1);
}

async fn key_without_a_fingerprint_compares_the_name(bed: Bed) {
    let first = keyed(create_of(new_town("alice", "mill")), "k1");
    bed.database.accept_create(&first).await.unwrap();
    bed.sql("UPDATE gastown_town_events SET detail = NULL").await;
    let mut elsewhere = new_town("alice", "mill");
    elsewhere.region = "ams".parse().unwrap();
    let known = AcceptedCreate::Known { town: first.town.id, operation: first.operation.id };
    assert_eq!(bed.database.accept_create(&keyed(create_of(elsewhere), "k1")).await.unwrap(), known);
    let other = bed.database.accept_create(&keyed(create_of(new_town("alice", "forge")), "k1")).await;
    assert!(matches!(other, Err(StoreError::KeyReused)), "{other:?}");
}

pub(crate) async fn parallel_repeats_with_one_key_return_one_town(bed: Bed) {
    let creates = (0..10).map(|_| keyed(create_of(new_town("alice", "mill")), "k1"));
    let answers = all_at_once(&bed.database, creates).await;
    assert_eq!(inserted(&answers), 1);
    let made = bed.database.list(&user("alice").into()).await.unwrap().remove(0);
    let in_flight = bed.claimed(made.state.town.id, "driver").await;
    assert_eq!(in_flight.kind, OperationKind::Create);
    let known = AcceptedCreate::Known { town: made.state.town.id, operation: in_flight.id };
    assert_eq!(answers.into_iter().filter(|answer| matches!(answer, Ok(other) if *other == known)).count(), 9);
}

async fn parallel_creates_with_one_key_and_different_names_make_one_town(bed: Bed) {
    let creates = (0..10).map(|number| keyed(create_of(new_town("alice", &format!("mill-{number}"))), "k1"));
    let (won, lost): (Vec<_>, Vec<_>) = all_at_once(&bed.database, creates).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|l| matches!(l, Err(StoreError::KeyReused))), "{lost:?}");
    assert_eq!(bed.number("SELECT count(*) FROM gastown_towns").await, 1);
}

pub(crate) async fn parallel_creates_do_not_exceed_the_limit(bed: Bed) {
    let limited = |owner, number| NewCreate { max_towns: 3, ..create_of(new_town(owner, &format!("mill-{number}"))) };
    // Bob's towns do not count for alice.
    let creates = (0..20).map(|number| limited("alice", number)).chain((0..2).map(|number| limited("bob", number)));
    let (won, lost): (Vec<_>, Vec<_>) = all_at_once(&bed.database, creates).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (3 + 2, 17));
    assert!(lost.iter().all(|l| matches!(l, Err(StoreError::TooManyTowns { limit: 3 }))), "{lost:?}");
    assert_eq!(bed.number("SELECT count(*) FROM gastown_towns WHERE user_id = 'alice'").await, 3);
}

async fn repeat_succeeds_at_the_limit_and_destroyed_towns_do_not_count(bed: Bed) {
    let ask = |name| NewCreate { max_towns: 1, ..create_of(new_town("alice", name)) };
    let first = keyed(ask("mill"), "k1");
    bed.database.accept_create(&first).await.unwrap();
    let known = AcceptedCreate::Known { town: first.town.id, operation: first.operation.id };
    assert_eq!(bed.database.accept_create(&keyed(ask("mill"), "k1")).await.unwrap(), known);
    let refused = bed.database.accept_create(&keyed(ask("forge"), "k2")).await;
    assert!(matches!(refused, Err(StoreError::TooManyTowns { limit: 1 })), "{refused:?}");

    bed.destroy(&bed.database.load(first.town.id).await.unwrap().unwrap()).await;
    assert_inserted(&bed.database.accept_create(&keyed(ask("forge"), "k2")).await);
}

async fn operations_in_flight_of_a_user_are_limited(bed: Bed) {
    let limited = |owner, name| {
        let create = create_of(new_town(owner, name));
        NewCreate { operation: NewOperation { max_in_flight: Some(2), ..create.operation }, ..create }
    };
    let first = limited("alice", "mill");
    for create in [&first, &limited("alice", "inn"), &limited("bob", "mill")] {
        assert_inserted(&bed.database.accept_create(create).await);
    }
    let refused = bed.database.accept_create(&limited("alice", "forge")).await;
    assert!(matches!(refused, Err(StoreError::TooManyOperations { limit: 2 })), "{refused:?}");
    assert_eq!(bed.number("SELECT count(*) FROM gastown_towns WHERE user_id = 'alice'").await, 2);
    // A request that replaces an operation adds none.
    let town = bed.database.load(first.town.id).await.unwrap().unwrap();
    let destroy = NewOperation { max_in_flight: Some(2), ..request(&town, OperationKind::Destroy) };
    assert!(matches!(bed.database.request(&destroy).await, Ok(Requested::Accepted(_))));
    // One that has ended makes room.
    bed.destroy(&town).await;
    assert_inserted(&bed.database.accept_create(&limited("alice", "forge")).await);
}
