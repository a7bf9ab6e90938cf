//! Towns that nobody drives though somebody should.

use gastown_domain::ports::{Operations as _, Registry as _, Requested};
use gastown_domain::{OperationKind, Phase, Progress, Town, TownStatus};

use crate::bed::{Bed, create_of, new_town, on_both, wish};

on_both! {
    what_is_stranded_is_found_and_nothing_else,
    a_tombstone_gets_a_destroy_that_is_settled,
    an_unfinished_town_gets_a_create,
    what_is_not_stranded_is_left_alone,
    of_reinstatements_at_once_one_counts,
    a_destroy_that_comes_at_the_same_time_wins_either_way,
}

/// A tombstone that still names its machine, and nothing in flight.
async fn left_over(bed: &Bed, name: &str) -> Town {
    let town = bed.running("alice", name).await;
    bed.hide(&town).await;
    bed.sql(&format!("UPDATE gastown_towns SET fly_machine_id = 'm1' WHERE town_name = '{name}'")).await;
    bed.database.load(town.id).await.unwrap().unwrap()
}

/// A town that is provisioning, and nothing in flight.
async fn unfinished(bed: &Bed, name: &str) -> Town {
    let town = bed.create("alice", name).await;
    let of_town = format!("town_id = (SELECT id FROM gastown_towns WHERE town_name = '{name}')");
    bed.sql(&format!("DELETE FROM gastown_operations WHERE {of_town}")).await;
    town
}

async fn what_is_stranded_is_found_and_nothing_else(bed: Bed) {
    let removed = bed.running("alice", "removed").await;
    bed.hide(&removed).await;
    bed.running("alice", "settled").await;
    bed.create("alice", "coming").await;
    let destroying = bed.running("alice", "leaving").await;
    bed.request(&destroying, OperationKind::Destroy).await;
    assert_eq!(bed.database.stranded(10).await.unwrap(), []);

    let mut expected = [left_over(&bed, "dead").await, unfinished(&bed, "new").await];
    expected.sort_by_key(|town| town.id);
    let mut found = bed.database.stranded(10).await.unwrap();
    found.sort_by_key(|town| town.id);
    assert_eq!(found, expected);
    assert_eq!(bed.database.stranded(1).await.unwrap().len(), 1);

    bed.sql("UPDATE gastown_towns SET fly_machine_id = '../x' WHERE town_name = 'dead'").await;
    assert_eq!(bed.database.stranded(10).await.unwrap().len(), 1, "what cannot be read is left out");
}

async fn a_tombstone_gets_a_destroy_that_is_settled(bed: Bed) {
    let town = left_over(&bed, "mill").await;
    let destroy = wish(&town, OperationKind::Destroy);
    let progress = Progress { machine_made: true, ..Progress::default() };
    assert!(bed.database.reinstate(&destroy, &progress).await.unwrap());
    assert!(!bed.database.reinstate(&wish(&town, OperationKind::Destroy), &progress).await.unwrap());

    let claimed = bed.claimed(town.id, "driver").await;
    assert_eq!((claimed.id, claimed.kind, claimed.phase), (destroy.id, OperationKind::Destroy, Phase::Settled));
    assert_eq!(claimed.progress, progress);
    let said = "SELECT count(*) FROM gastown_town_events \
                WHERE actor = 'control-plane' AND action = 'destroy' AND outcome = 'accepted'";
    assert_eq!(bed.number(said).await, 1);
    assert_eq!(bed.database.stranded(10).await.unwrap(), []);
}

async fn an_unfinished_town_gets_a_create(bed: Bed) {
    let town = unfinished(&bed, "mill").await;
    let create = wish(&town, OperationKind::Create);
    assert!(bed.database.reinstate(&create, &Progress::default()).await.unwrap());
    let claimed = bed.claimed(town.id, "driver").await;
    assert_eq!((claimed.id, claimed.kind, claimed.phase), (create.id, OperationKind::Create, Phase::Begun));
}

async fn what_is_not_stranded_is_left_alone(bed: Bed) {
    use OperationKind::{Create, Destroy, RollBack, Start, Stop};
    let removed = bed.running("alice", "removed").await;
    bed.hide(&removed).await;
    let nowhere = create_of(new_town("alice", "nowhere")).operation;
    let cases = [
        (left_over(&bed, "dead").await, vec![Create, Start, Stop, RollBack]),
        (unfinished(&bed, "new").await, vec![Destroy, Start, Stop, RollBack]),
        (bed.running("alice", "settled").await, OperationKind::ALL.to_vec()),
        (removed, OperationKind::ALL.to_vec()),
        (bed.create("alice", "coming").await, OperationKind::ALL.to_vec()),
    ];
    let operations = bed.number("SELECT count(*) FROM gastown_operations").await;
    assert!(!bed.database.reinstate(&nowhere, &Progress::default()).await.unwrap());
    for (town, kinds) in cases {
        for kind in kinds {
            let done = bed.database.reinstate(&wish(&town, kind), &Progress::default()).await.unwrap();
            assert!(!done, "{} {kind}", town.name);
        }
    }
    assert_eq!(bed.number("SELECT count(*) FROM gastown_operations").await, operations);
}

async fn of_reinstatements_at_once_one_counts(bed: Bed) {
    let town = left_over(&bed, "mill").await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (database, wish) = (bed.database.clone(), wish(&town, OperationKind::Destroy));
        running.spawn(async move { database.reinstate(&wish, &Progress::default()).await.unwrap() });
    }
    assert_eq!(running.join_all().await.into_iter().filter(|done| *done).count(), 1);
}

async fn a_destroy_that_comes_at_the_same_time_wins_either_way(bed: Bed) {
    for number in 0..10 {
        let town = unfinished(&bed, &format!("mill-{number}")).await;
        assert_eq!(town.status, TownStatus::Provisioning);
        let create = wish(&town, OperationKind::Create);
        let destroy = wish(&town, OperationKind::Destroy);
        let progress = Progress::default();
        let (reinstated, destroyed) =
            tokio::join!(bed.database.reinstate(&create, &progress), bed.database.request(&destroy));
        assert!(matches!(destroyed.unwrap(), Requested::Accepted(_)));
        let in_flight = bed.database.current(town.id).await.unwrap().unwrap();
        assert_eq!((in_flight.id, in_flight.kind), (destroy.id, OperationKind::Destroy));
        // Either it came first and was pre-empted, or it came too late and wrote nothing.
        assert_eq!(bed.database.outcome(create.id).await.unwrap().is_some(), reinstated.unwrap());
    }
}
