//! Towns that need an operation and have none.

use gastown_domain::ports::{Operations as _, Registry as _, Requested};
use gastown_domain::{OperationKind, Phase, Progress, Town, TownStatus};

use crate::bed::{Bed, create_of, new_town, on_both, request};

on_both! {
    only_stranded_towns_are_found,
    tombstone_gets_a_settled_destroy,
    unfinished_town_gets_a_create,
    towns_that_are_not_stranded_are_left_alone,
    one_of_parallel_reinstatements_counts,
    concurrent_destroy_wins_in_either_order,
}

/// A tombstone that still names its machine and has no operation.
async fn left_over(bed: &Bed, name: &str) -> Town {
    let town = bed.running("alice", name).await;
    bed.destroy(&town).await;
    bed.sql(&format!("UPDATE gastown_towns SET fly_machine_id = 'm1' WHERE town_name = '{name}'")).await;
    bed.database.load(town.id).await.unwrap().unwrap()
}

/// A provisioning town without an operation.
async fn unfinished(bed: &Bed, name: &str) -> Town {
    let town = bed.create("alice", name).await;
    let of_town = format!("town_id = (SELECT id FROM gastown_towns WHERE town_name = '{name}')");
    bed.sql(&format!("DELETE FROM gastown_operations WHERE {of_town}")).await;
    town
}

async fn only_stranded_towns_are_found(bed: Bed) {
    let removed = bed.running("alice", "removed").await;
    bed.destroy(&removed).await;
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
    assert_eq!(bed.database.stranded(10).await.unwrap().len(), 1, "an unreadable town is left out");
}

async fn tombstone_gets_a_settled_destroy(bed: Bed) {
    let town = left_over(&bed, "mill").await;
    let destroy = request(&town, OperationKind::Destroy);
    let progress = Progress { machine_made: true, ..Progress::default() };
    assert!(bed.database.reinstate(&destroy, &progress).await.unwrap());
    assert!(!bed.database.reinstate(&request(&town, OperationKind::Destroy), &progress).await.unwrap());

    let claimed = bed.claimed(town.id, "driver").await;
    assert_eq!((claimed.id, claimed.kind, claimed.phase), (destroy.id, OperationKind::Destroy, Phase::Settled));
    assert_eq!(claimed.progress, Progress { actor: Some("control-plane".to_owned()), ..progress });
    let said = "SELECT count(*) FROM gastown_town_events \
                WHERE actor = 'control-plane' AND action = 'destroy' AND outcome = 'accepted'";
    assert_eq!(bed.number(said).await, 1);
    assert_eq!(bed.database.stranded(10).await.unwrap(), []);
}

async fn unfinished_town_gets_a_create(bed: Bed) {
    let town = unfinished(&bed, "mill").await;
    let create = request(&town, OperationKind::Create);
    assert!(bed.database.reinstate(&create, &Progress::default()).await.unwrap());
    let claimed = bed.claimed(town.id, "driver").await;
    assert_eq!((claimed.id, claimed.kind, claimed.phase), (create.id, OperationKind::Create, Phase::Begun));
}

async fn towns_that_are_not_stranded_are_left_alone(bed: Bed) {
    use OperationKind::{Create, Destroy, RollBack, Start, Stop};
    let removed = bed.running("alice", "removed").await;
    bed.destroy(&removed).await;
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
            let done = bed.database.reinstate(&request(&town, kind), &Progress::default()).await.unwrap();
            assert!(!done, "{} {kind}", town.name);
        }
    }
    assert_eq!(bed.number("SELECT count(*) FROM gastown_operations").await, operations);
}

async fn one_of_parallel_reinstatements_counts(bed: Bed) {
    let town = left_over(&bed, "mill").await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (database, wish) = (bed.database.clone(), request(&town, OperationKind::Destroy));
        running.spawn(async move { database.reinstate(&wish, &Progress::default()).await.unwrap() });
    }
    assert_eq!(running.join_all().await.into_iter().filter(|done| *done).count(), 1);
}

async fn concurrent_destroy_wins_in_either_order(bed: Bed) {
    for number in 0..10 {
        let town = unfinished(&bed, &format!("mill-{number}")).await;
        assert_eq!(town.status, TownStatus::Provisioning);
        let create = request(&town, OperationKind::Create);
        let destroy = request(&town, OperationKind::Destroy);
        let progress = Progress::default();
        let (reinstated, destroyed) =
            tokio::join!(bed.database.reinstate(&create, &progress), bed.database.request(&destroy));
        assert!(matches!(destroyed.unwrap(), Requested::Accepted(_)));
        let in_flight = bed.database.current(town.id).await.unwrap().unwrap();
        assert_eq!((in_flight.id, in_flight.kind), (destroy.id, OperationKind::Destroy.into()));
        // The reinstatement either came first and was pre-empted, or it wrote nothing.
        assert_eq!(bed.database.outcome(create.id).await.unwrap().is_some(), reinstated.unwrap());
    }
}
