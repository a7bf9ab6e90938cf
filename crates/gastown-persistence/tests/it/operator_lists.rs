//! Lists for operators: towns of all users, and events of all towns.

use chrono::TimeDelta;
use gastown_domain::ports::{
    AuditedEvent, EventFilter, ListPosition, ListedHealth, ListedTown, Operations as _, Operator as _, Requested,
    TownChange, TownFilter,
};
use gastown_domain::{Failure, OperationKind, Rejection, TownStatus};

use crate::bed::{Bed, accepted, noon, on_both, request, user};

on_both! {
    towns_come_by_owner_and_name,
    towns_meet_every_condition,
    towns_come_in_pages,
    towns_with_unreadable_rows_are_named,
    events_meet_every_condition,
    operators_request_names_the_actor,
}

async fn names(bed: &Bed, filter: &TownFilter) -> Vec<String> {
    let found = bed.database.towns(filter, 100).await.unwrap();
    found.into_iter().map(|listed| listed.unwrap().town).map(|town| format!("{}/{}", town.owner, town.name)).collect()
}

async fn towns_come_by_owner_and_name(bed: Bed) {
    for (owner, name) in [("bob", "inn"), ("alice", "mill"), ("alice", "forge")] {
        bed.create(owner, name).await;
    }
    assert_eq!(names(&bed, &TownFilter::default()).await, ["alice/forge", "alice/mill", "bob/inn"]);
    let [ListedTown { town, health, operation }] =
        <[_; 1]>::try_from(bed.database.towns(&TownFilter::default(), 1).await.unwrap()).unwrap().map(Result::unwrap);
    assert_eq!((town.name.as_str(), health.unwrap().drift), ("forge", None));
    assert_eq!(operation.unwrap().unwrap().operation.kind, OperationKind::Create);
}

async fn towns_meet_every_condition(bed: Bed) {
    for (owner, name) in [("alice", "mill"), ("bob", "mill")] {
        bed.running(owner, name).await;
    }
    bed.create("alice", "inn").await;
    let gone = bed.running("alice", "gone").await;
    bed.destroy(&gone).await;
    let of_alice = "town_id = (SELECT id FROM gastown_towns WHERE town_name = 'mill' AND user_id = 'alice')";
    let drifted = "drift = 'machine_stopped', drift_since = checked_at";
    bed.sql(&format!("UPDATE gastown_town_health SET {drifted} WHERE {of_alice}")).await;
    let of_bob = "town_id = (SELECT id FROM gastown_towns WHERE town_name = 'mill' AND user_id = 'bob')";
    bed.sql(&format!("UPDATE gastown_town_health SET state = 'unhealthy', image = 'town:2' WHERE {of_bob}")).await;
    let all = TownFilter::default;
    for (filter, expected) in [
        (all(), &["alice/inn", "alice/mill", "bob/mill"][..]),
        (TownFilter { owner: Some(user("alice")), ..all() }, &["alice/inn", "alice/mill"]),
        (TownFilter { name: Some("mill".parse().unwrap()), ..all() }, &["alice/mill", "bob/mill"]),
        (TownFilter { status: Some(TownStatus::Provisioning), ..all() }, &["alice/inn"]),
        (TownFilter { status: Some(TownStatus::Destroyed), ..all() }, &["alice/gone"]),
        (TownFilter { owner: Some(user("bob")), name: Some("inn".parse().unwrap()), ..all() }, &[]),
        (TownFilter { health: Some(ListedHealth::Drift), ..all() }, &["alice/mill"]),
        (TownFilter { health: Some(ListedHealth::Unhealthy), ..all() }, &["bob/mill"]),
        (TownFilter { health: Some(ListedHealth::Error), ..all() }, &[]),
        (TownFilter { health: Some(ListedHealth::Ok), ..all() }, &["alice/inn"]),
        (TownFilter { image: Some("town:2".to_owned()), ..all() }, &["bob/mill"]),
        (TownFilter { image: Some("town".to_owned()), ..all() }, &[]),
    ] {
        assert_eq!(names(&bed, &filter).await, expected, "{filter:?}");
    }
}

async fn towns_come_in_pages(bed: Bed) {
    for (owner, name) in [("alice", "forge"), ("alice", "mill"), ("bob", "inn"), ("bob", "mill"), ("bob", "mill-2")] {
        bed.create(owner, name).await;
    }
    for name in ["gone", "gone"] {
        let town = bed.running("alice", name).await;
        bed.destroy(&town).await;
    }
    for status in [None, Some(TownStatus::Destroyed)] {
        let filter = |after| TownFilter { status, after, ..TownFilter::default() };
        let whole = bed.database.towns(&filter(None), 100).await.unwrap();
        let mut paged = Vec::new();
        let mut after = None;
        while let [listed] = bed.database.towns(&filter(after), 1).await.unwrap().as_slice() {
            paged.push(listed.clone());
            let town = listed.clone().unwrap().town;
            after = Some(ListPosition { owner: town.owner, name: town.name, town: town.id });
        }
        assert_eq!((paged.len(), &paged), (if status.is_none() { 5 } else { 2 }, &whole));
    }
}

async fn towns_with_unreadable_rows_are_named(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.running("bob", "mill").await;
    bed.sql("UPDATE gastown_town_health SET failures = -1").await;
    bed.sql("UPDATE gastown_towns SET fly_region = '' WHERE user_id = 'alice'").await;
    let [unreadable, readable] =
        <[_; 2]>::try_from(bed.database.towns(&TownFilter::default(), 9).await.unwrap()).unwrap();
    let unreadable = unreadable.unwrap_err();
    assert_eq!((unreadable.town, unreadable.which.contains("gastown_towns.fly_region")), (town.id, true));
    let health = readable.unwrap().health.unwrap_err();
    assert!(health.which.contains("gastown_town_health.failures"), "{health}");
}

/// Returns town, actor, action and outcome of each event.
async fn events(bed: &Bed, filter: &EventFilter) -> Vec<String> {
    let found = bed.database.audit(filter, 100).await.unwrap();
    let line = |found: AuditedEvent| {
        format!("{}/{} {} {} {}", found.owner, found.name, found.event.actor, found.event.action, found.event.outcome)
    };
    found.into_iter().map(line).collect()
}

async fn events_meet_every_condition(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let inn = bed.create("bob", "inn").await;
    bed.request(&town, OperationKind::Stop).await;
    let stop = bed.claimed(town.id, "driver").await;
    let failed = Err(Rejection::Failed(Failure::Throttled.into()));
    bed.database.finish(&stop, failed, &TownChange::default()).await.unwrap();
    let all = EventFilter::default;
    let failed_stop = "alice/mill alice stop failed";
    assert_eq!(events(&bed, &all()).await.len(), 5);
    for (filter, expected) in [
        (EventFilter { failed: true, ..all() }, &[failed_stop][..]),
        (EventFilter { failed: true, owner: Some(user("bob")), ..all() }, &[]),
        (EventFilter { town: Some(inn.id), ..all() }, &["bob/inn bob create accepted"]),
        (EventFilter { actor: Some("bob".to_owned()), ..all() }, &["bob/inn bob create accepted"]),
        (EventFilter { action: Some("stop".to_owned()), failed: true, ..all() }, &[failed_stop]),
        (EventFilter { since: Some(noon() + TimeDelta::days(36500)), ..all() }, &[]),
        (EventFilter { until: Some(noon() - TimeDelta::days(36500)), ..all() }, &[]),
        (EventFilter { until: Some(noon() + TimeDelta::days(36500)), failed: true, ..all() }, &[failed_stop]),
    ] {
        assert_eq!(events(&bed, &filter).await, expected, "{filter:?}");
    }
    let newest = bed.database.audit(&all(), 1).await.unwrap();
    assert_eq!((newest.len(), newest[0].event.error.as_deref()), (1, Some("throttled")));
}

async fn operators_request_names_the_actor(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let stop = request(&town, OperationKind::Stop);
    let operation = accepted(bed.database.request_as(&stop, "operator:eve").await.unwrap());
    assert_eq!((operation.id, &operation.requested_by), (stop.id, &town.owner));
    let by_eve = EventFilter { actor: Some("operator:eve".to_owned()), ..EventFilter::default() };
    assert_eq!(events(&bed, &by_eve).await, ["alice/mill operator:eve stop accepted"]);
    let start = bed.database.request_as(&request(&town, OperationKind::Start), "operator:eve").await.unwrap();
    assert_eq!(start, Requested::Busy(operation));
    let gone = bed.running("alice", "gone").await;
    bed.destroy(&gone).await;
    let refused = bed.database.request_as(&request(&gone, OperationKind::Start), "operator:eve").await.unwrap();
    assert_eq!(refused, Requested::NotFound);
}
