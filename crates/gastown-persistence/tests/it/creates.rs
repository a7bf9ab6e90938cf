//! Creates that meet: repeats, races, and as many towns as one may have.

use gastown_domain::OperationKind;
use gastown_domain::ports::{AcceptedCreate, NewCreate, Registry as _, StoreError};
use gastown_persistence::Database;

use crate::bed::{Bed, create_of, keyed, new_town, on_both, rig, user};

on_both! {
    of_twenty_parallel_creates_of_one_name_one_wins,
    a_stranger_cannot_have_a_town,
    first_rigs_of_one_name_are_refused_with_their_town,
    a_repeat_with_the_same_key_answers_the_same_town_even_destroyed,
    a_key_stands_for_all_that_was_asked_for,
    of_a_key_without_a_fingerprint_the_name_is_compared,
    parallel_repeats_with_one_key_all_answer_one_town,
    parallel_creates_with_one_key_and_different_names_make_one_town,
    nobody_has_more_towns_than_allowed_by_racing,
    a_repeat_is_answered_at_the_limit_and_a_destroyed_town_counts_no_more,
}

/// Accepts these at once.
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
    answers.iter().filter(|answer| matches!(answer, Ok(AcceptedCreate::Inserted))).count()
}

async fn of_twenty_parallel_creates_of_one_name_one_wins(bed: Bed) {
    let creates = (0..20).map(|_| create_of(new_town("alice", "mill")));
    let (won, lost): (Vec<_>, Vec<_>) = all_at_once(&bed.database, creates).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|l| matches!(l, Err(StoreError::TownNameTaken))), "{lost:?}");
    for table in ["gastown_towns", "gastown_operations", "gastown_town_events"] {
        assert_eq!(bed.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
    }
}

async fn a_stranger_cannot_have_a_town(bed: Bed) {
    let refused = bed.database.accept_create(&create_of(new_town("nobody", "mill"))).await;
    assert!(matches!(refused, Err(StoreError::UserUnknown)), "{refused:?}");
}

async fn first_rigs_of_one_name_are_refused_with_their_town(bed: Bed) {
    let mut create = create_of(new_town("alice", "mill"));
    create.town.rigs = vec![rig(create.town.id, "App"), rig(create.town.id, "aPP")];
    let refused = bed.database.accept_create(&create).await;
    assert!(matches!(refused, Err(StoreError::RigNameTaken)), "{refused:?}");
    assert_eq!(bed.database.load(create.town.id).await.unwrap(), None);
}

async fn a_repeat_with_the_same_key_answers_the_same_town_even_destroyed(bed: Bed) {
    let ask = |owner: &str, name: &str| keyed(create_of(new_town(owner, name)), "k1");
    let first = ask("alice", "mill");
    bed.database.accept_create(&first).await.unwrap();
    let known = AcceptedCreate::Known { town: first.town.id, operation: first.operation.id };
    assert_eq!(bed.database.accept_create(&ask("alice", "mill")).await.unwrap(), known);

    let other = bed.database.accept_create(&ask("alice", "forge")).await;
    assert!(matches!(other, Err(StoreError::KeyReused)), "{other:?}");
    assert_eq!(bed.database.accept_create(&ask("bob", "mill")).await.unwrap(), AcceptedCreate::Inserted);

    bed.hide(&bed.database.load(first.town.id).await.unwrap().unwrap()).await;
    assert_eq!(bed.database.accept_create(&ask("alice", "mill")).await.unwrap(), known);
}

async fn a_key_stands_for_all_that_was_asked_for(bed: Bed) {
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

async fn of_a_key_without_a_fingerprint_the_name_is_compared(bed: Bed) {
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

async fn parallel_repeats_with_one_key_all_answer_one_town(bed: Bed) {
    let creates = (0..10).map(|_| keyed(create_of(new_town("alice", "mill")), "k1"));
    let answers = all_at_once(&bed.database, creates).await;
    assert_eq!(inserted(&answers), 1);
    let made = bed.database.list(&user("alice")).await.unwrap().remove(0);
    let in_flight = bed.claimed(made.id, "driver").await;
    assert_eq!(in_flight.kind, OperationKind::Create);
    let known = AcceptedCreate::Known { town: made.id, operation: in_flight.id };
    assert_eq!(answers.into_iter().filter(|answer| matches!(answer, Ok(other) if *other == known)).count(), 9);
}

async fn parallel_creates_with_one_key_and_different_names_make_one_town(bed: Bed) {
    let creates = (0..10).map(|number| keyed(create_of(new_town("alice", &format!("mill-{number}"))), "k1"));
    let (won, lost): (Vec<_>, Vec<_>) = all_at_once(&bed.database, creates).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|l| matches!(l, Err(StoreError::KeyReused))), "{lost:?}");
    assert_eq!(bed.number("SELECT count(*) FROM gastown_towns").await, 1);
}

async fn nobody_has_more_towns_than_allowed_by_racing(bed: Bed) {
    let limited = |owner, number| NewCreate { max_towns: 3, ..create_of(new_town(owner, &format!("mill-{number}"))) };
    // Bob's are others': they are in nobody's way.
    let creates = (0..20).map(|number| limited("alice", number)).chain((0..2).map(|number| limited("bob", number)));
    let (won, lost): (Vec<_>, Vec<_>) = all_at_once(&bed.database, creates).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (3 + 2, 17));
    assert!(lost.iter().all(|l| matches!(l, Err(StoreError::TooManyTowns { limit: 3 }))), "{lost:?}");
    assert_eq!(bed.number("SELECT count(*) FROM gastown_towns WHERE user_id = 'alice'").await, 3);
}

async fn a_repeat_is_answered_at_the_limit_and_a_destroyed_town_counts_no_more(bed: Bed) {
    let ask = |name| NewCreate { max_towns: 1, ..create_of(new_town("alice", name)) };
    let first = keyed(ask("mill"), "k1");
    bed.database.accept_create(&first).await.unwrap();
    let known = AcceptedCreate::Known { town: first.town.id, operation: first.operation.id };
    assert_eq!(bed.database.accept_create(&keyed(ask("mill"), "k1")).await.unwrap(), known);
    let refused = bed.database.accept_create(&keyed(ask("forge"), "k2")).await;
    assert!(matches!(refused, Err(StoreError::TooManyTowns { limit: 1 })), "{refused:?}");

    bed.hide(&bed.database.load(first.town.id).await.unwrap().unwrap()).await;
    assert_eq!(bed.database.accept_create(&keyed(ask("forge"), "k2")).await.unwrap(), AcceptedCreate::Inserted);
}
