//! Reads and actions of an operator.

use gastown_domain::ports::{
    HeldOperation, Operations as _, Operator as _, Registry as _, Requested, Retried, Rigs, WorkerId,
};
use gastown_domain::{Failure, Operation, OperationKind, Phase, Rejection, StepName, Town, TownId};

use crate::bed::{Bed, LEASE, accepted, beat, fresh_uuid, is_fenced, noon, on_both, record, request, rig, user};

on_both! {
    operations_come_most_failed_first_with_owner_and_holder,
    unreadable_rows_are_named_and_the_others_are_shown,
    town_details_list_the_newest_events_first,
    retry_makes_a_waiting_operation_due,
    retry_does_not_change_a_held_claim,
    retry_without_an_operation_reports_it,
    operator_destroys_any_owners_town,
    operators_destroy_preempts_and_joins_like_an_owners,
    tombstone_with_resources_is_destroyed_again,
    operators_destroy_replaces_an_unreadable_operation,
}

const EVE: &str = "operator:eve";

fn nowhere() -> TownId {
    TownId::new(fresh_uuid())
}

/// Actor, action and outcome of each event, newest first.
async fn history(bed: &Bed, town: TownId) -> Vec<(String, String, String)> {
    let town_details = bed.database.town_details(town, &[], 100).await.unwrap().unwrap();
    town_details.events.into_iter().map(|event| (event.actor, event.action, event.outcome)).collect()
}

fn said(actor: &str, action: &str, outcome: &str) -> (String, String, String) {
    (actor.to_owned(), action.to_owned(), outcome.to_owned())
}

/// Records that the operation failed so often and waits for an hour.
async fn failing(bed: &Bed, town: &Town, attempt: u32) {
    let claim = bed.claimed(town.id, "one").await;
    let mut step = record(StepName::CreateVolume);
    (step.attempt, step.last_error) = (attempt, Some(Failure::Throttled.into()));
    (step.wait, step.hold) = (LEASE, None);
    bed.database.record(claim.fence(), &step).await.unwrap();
}

async fn operators_destroy_replaces_an_unreadable_operation(bed: Bed) {
    for (number, damage) in damages(&bed).into_iter().enumerate() {
        let town = bed.create("alice", &format!("mill-{number}")).await;
        let stale = bed.claimed(town.id, "one").await;
        let of_it = format!("town_id = (SELECT id FROM gastown_towns WHERE town_name = '{}')", town.name);
        bed.sql(&format!("UPDATE gastown_operations SET {damage} WHERE {of_it}")).await;
        destroyed_by_operator(&bed, &town, &stale).await;
    }
}

/// Changes that make an operation unreadable.
fn damages(bed: &Bed) -> Vec<&'static str> {
    let ours = ["attempt = -1", "progress = '3'"];
    let drivers: &[_] = match bed.raw.get_database_backend() {
        sea_orm::DbBackend::Sqlite => &["deadline_at = 'noon'", "progress = '{'"],
        _ => &[],
    };
    [&ours, drivers].concat()
}

async fn destroyed_by_operator(bed: &Bed, town: &Town, stale: &Operation) {
    let asked = bed.database.request(&request(town, OperationKind::Destroy)).await;
    assert!(asked.is_err(), "its owner cannot request it: {asked:?}");

    let destroy = request(town, OperationKind::Destroy);
    let destroyed = accepted(bed.database.destroy(&destroy, EVE).await.unwrap());

    assert_eq!(bed.database.outcome(stale.id).await.unwrap(), Some(Err(Rejection::Preempted)), "its end is recorded");
    assert_eq!(
        (destroyed.id, destroyed.kind, destroyed.phase),
        (destroy.id, OperationKind::Destroy.into(), Phase::Begun.into())
    );
    assert!(destroyed.fence > stale.fence, "the old holder is fenced");
    assert!(destroyed.progress.unconfirmed_volume.exists() && destroyed.progress.unconfirmed_machine.exists());
    assert!(is_fenced(&bed.database.renew(stale.fence(), LEASE).await));
    let history = history(bed, town.id).await;
    for told in [said(EVE, "destroy", "accepted"), said("alice", "create", "preempted")] {
        assert!(history.contains(&told), "{told:?}: {history:?}");
    }
    assert_eq!(bed.claimed(town.id, "two").await.id, destroy.id);
}

async fn operations_come_most_failed_first_with_owner_and_holder(bed: Bed) {
    let [fresh, bad, worse] =
        [bed.create("alice", "fresh").await, bed.create("bob", "bad").await, bed.create("alice", "worse").await];
    failing(&bed, &bad, 3).await;
    failing(&bed, &worse, 7).await;
    let held = bed.claimed(fresh.id, "two").await;
    let now = bed.database.renew(held.fence(), LEASE).await.unwrap();

    let listed = readable(&bed, 10).await;
    assert_eq!(listed.iter().map(|held| held.operation.town).collect::<Vec<_>>(), [worse.id, bad.id, fresh.id]);
    let expected = HeldOperation {
        operation: bed.database.current(fresh.id).await.unwrap().unwrap(),
        owner: user("alice"),
        name: "fresh".to_owned(),
        held_by: Some(WorkerId("two".to_owned())),
        lease_expires_at: Some(now + LEASE),
    };
    assert_eq!(listed[2], expected);
    assert_eq!((&listed[1].owner, &listed[1].held_by, listed[1].lease_expires_at), (&user("bob"), &None, None));
    assert_eq!(readable(&bed, 2).await, listed[..2]);
}

async fn unreadable_rows_are_named_and_the_others_are_shown(bed: Bed) {
    let bad = bed.create("alice", "bad").await;
    for name in ["app", "lib"] {
        Rigs::insert(&bed.database, &user("alice"), &rig(bad.id, name), u32::MAX).await.unwrap();
    }
    bed.sql("UPDATE gastown_operations SET attempt = 99, requested_by = 'a b'").await;
    beat(&bed.database, bad.id, noon()).await.unwrap();
    bed.sql("UPDATE gastown_town_health SET drift = 'volume_lost'").await;
    bed.sql("UPDATE gastown_rigs SET repo_url = '-x' WHERE rig_name = 'lib'").await;
    let good = bed.create("alice", "good").await;

    let [unreadable, readable] = &*bed.database.operations(10).await.unwrap() else { panic!("not two") };
    assert_eq!(readable.as_ref().unwrap().operation.town, good.id);
    let unreadable = unreadable.clone().unwrap_err();
    assert_eq!((unreadable.town, unreadable.which.contains("gastown_operations.requested_by")), (bad.id, true));
    let town_details = bed.database.town_details(bad.id, &[], 10).await.unwrap().unwrap();
    assert_eq!(town_details.operation, Some(Err(unreadable)));
    let health = town_details.health.unwrap_err();
    assert!(health.which.contains("gastown_town_health.drift"), "{health}");
    assert_eq!(town_details.rigs.into_iter().map(|rig| rig.name.to_string()).collect::<Vec<_>>(), ["app"]);
    let [rig] = &*town_details.unreadable else { panic!("not one: {:?}", town_details.unreadable) };
    assert!(rig.which.contains("gastown_rigs.repo_url") && !rig.which.contains("-x"), "{rig}");
    assert_eq!((town_details.town, town_details.events.len()), (bed.database.load(bad.id).await.unwrap().unwrap(), 3));
}

/// The operations in flight, all readable.
async fn readable(bed: &Bed, limit: u32) -> Vec<HeldOperation> {
    bed.database.operations(limit).await.unwrap().into_iter().map(Result::unwrap).collect()
}

async fn town_details_list_the_newest_events_first(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let app = rig(town.id, "app");
    Rigs::insert(&bed.database, &user("alice"), &app, u32::MAX).await.unwrap();
    assert!(beat(&bed.database, town.id, noon()).await.unwrap());
    bed.request(&town, OperationKind::Stop).await;
    let town_details = bed.database.town_details(town.id, &[], 10).await.unwrap().unwrap();
    assert_eq!(town_details.town, bed.database.load(town.id).await.unwrap().unwrap());
    assert_eq!((town_details.rigs, town_details.health.unwrap().last_report_at), (vec![app], Some(noon())));
    assert_eq!(town_details.operation.unwrap().unwrap().operation.kind, OperationKind::Stop);
    assert_eq!(town_details.unreadable, []);
    assert_eq!((town_details.events.len(), town_details.orphans), (4, Vec::new()));
    assert!(town_details.events.is_sorted_by(|newer, older| newer.at >= older.at));
    assert_eq!(bed.database.town_details(town.id, &[], 2).await.unwrap().unwrap().events, town_details.events[..2]);

    bed.destroy(&town).await;
    assert!(bed.database.town_details(town.id, &[], 2).await.unwrap().unwrap().town.is_tombstone());
    assert_eq!(bed.database.town_details(nowhere(), &[], 2).await.unwrap(), None);
}

async fn retry_makes_a_waiting_operation_due(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    failing(&bed, &town, 7).await;
    assert_eq!(bed.claim_due("two", 10).await, []);
    let Retried::Due(operation) = bed.database.retry(town.id, EVE).await.unwrap() else { panic!("not due") };
    assert_eq!((operation.attempt, operation.last_error.as_ref()), (0, None));
    assert_eq!(bed.database.current(town.id).await.unwrap(), Some(*operation));
    assert_eq!(bed.claim_due("two", 10).await, [town.id]);
    assert!(history(&bed, town.id).await.contains(&said(EVE, "retry", "accepted")));
}

async fn retry_does_not_change_a_held_claim(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let Retried::Due(operation) = bed.database.retry(town.id, EVE).await.unwrap() else { panic!("not due") };
    assert_eq!((operation.id, operation.fence), (claim.id, claim.fence));
    assert_eq!(bed.claim_due("two", 10).await, [], "its lease is held");
    bed.database.record(claim.fence(), &record(StepName::CreateVolume)).await.unwrap();
    assert_eq!(bed.database.outcome(claim.id).await.unwrap(), None, "a retry does not end it");
}

async fn retry_without_an_operation_reports_it(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    assert_eq!(bed.database.retry(town.id, EVE).await.unwrap(), Retried::NothingInFlight);
    assert_eq!(bed.database.retry(nowhere(), EVE).await.unwrap(), Retried::NotFound);
    assert!(!history(&bed, town.id).await.iter().any(|(actor, ..)| actor == EVE));
}

async fn operator_destroys_any_owners_town(bed: Bed) {
    for owner in ["alice", "bob"] {
        let town = bed.running(owner, "mill").await;
        let destroy = request(&town, OperationKind::Destroy);
        let operation = accepted(bed.database.destroy(&destroy, EVE).await.unwrap());
        assert_eq!(
            (operation.id, operation.phase, &operation.requested_by),
            (destroy.id, Phase::Begun.into(), &town.owner)
        );
        assert!(history(&bed, town.id).await.contains(&said(EVE, "destroy", "accepted")));
    }
    let mut lost = request(&bed.running("alice", "forge").await, OperationKind::Destroy);
    lost.town = nowhere();
    assert_eq!(bed.database.destroy(&lost, EVE).await.unwrap(), Requested::NotFound);
}

async fn operators_destroy_preempts_and_joins_like_an_owners(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let create = bed.claimed(town.id, "one").await;
    let destroy = accepted(bed.database.destroy(&request(&town, OperationKind::Destroy), EVE).await.unwrap());
    assert_eq!(bed.database.outcome(create.id).await.unwrap(), Some(Err(Rejection::Preempted)));
    assert!(is_fenced(&bed.database.renew(create.fence(), LEASE).await));
    let again = bed.database.destroy(&request(&town, OperationKind::Destroy), EVE).await.unwrap();
    assert_eq!(again, Requested::Joined(destroy));
}

async fn tombstone_with_resources_is_destroyed_again(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.destroy(&town).await;
    let destroy = request(&town, OperationKind::Destroy);
    assert_eq!(bed.database.destroy(&destroy, EVE).await.unwrap(), Requested::NotFound, "nothing is left of it");
    for id in ["fly_machine_id", "fly_volume_id"] {
        bed.sql(&format!("UPDATE gastown_towns SET {id} = 'x1'")).await;
        let destroy = request(&town, OperationKind::Destroy);
        let operation = accepted(bed.database.destroy(&destroy, EVE).await.unwrap());
        assert_eq!((operation.id, operation.phase.known()), (destroy.id, Some(Phase::Settled)));
        let again = bed.database.destroy(&request(&town, OperationKind::Destroy), EVE).await.unwrap();
        assert_eq!(again, Requested::Joined(operation));
        bed.sql("DELETE FROM gastown_operations").await;
        bed.sql("UPDATE gastown_towns SET fly_machine_id = NULL, fly_volume_id = NULL").await;
    }
}
