//! The history that an owner reads: its order, its pages, its durations, and what is kept out of it.

use gastown_domain::ports::{
    Caller, EventPage, History as _, Operations as _, Operator as _, Registry as _, Rigs, StoreError, TownChange,
    VerifiedToken,
};
use gastown_domain::{
    EventAction, EventActor, EventId, EventOutcome, Failure, HistoryEvent, Operation, OperationKind, Rejection,
    RigStatus, TownId, TownStatus,
};

use crate::bed::{Bed, fresh_uuid, on_both, rig, user};

on_both! {
    history_tells_who_did_what_and_why,
    pages_are_stable_while_events_are_added_and_removed,
    history_is_for_the_owner_of_a_live_town,
    undone_operations_are_shown_as_they_were_requested,
    events_of_operators_only_are_left_out,
}

fn alice() -> Caller {
    Caller::Trusted(user("alice"))
}

async fn page(bed: &Bed, town: TownId, before: Option<EventId>, limit: u32) -> Vec<HistoryEvent> {
    bed.database.events(&alice(), EventPage { town, before, limit }).await.unwrap().unwrap()
}

async fn all(bed: &Bed, town: TownId) -> Vec<HistoryEvent> {
    page(bed, town, None, 200).await
}

fn shown(events: &[HistoryEvent]) -> Vec<(EventActor, EventAction, String)> {
    events.iter().map(|event| (event.actor, event.action, event.outcome.to_string())).collect()
}

fn running() -> TownChange {
    TownChange { status: Some(TownStatus::Running), ..TownChange::default() }
}

async fn history_tells_who_did_what_and_why(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let create = bed.claimed(town.id, "one").await;
    bed.sql("UPDATE gastown_town_events SET at = '2026-01-01 00:00:00+00:00'").await;
    bed.database.finish(&create, Ok(()), &running()).await.unwrap();
    let web = rig(town.id, "web");
    Rigs::insert(&bed.database, &user("alice"), &rig(town.id, "web"), 9).await.unwrap();
    let pending = RigStatus::Pending;
    let inserted = Rigs::list(&bed.database, town.id).await.unwrap().remove(0);
    assert_eq!((&inserted.name, inserted.status), (&web.name, pending));
    assert!(bed.database.refuse(town.id, inserted.id, "the repository does not exist").await.unwrap());
    bed.request(&town, OperationKind::Stop).await;
    bed.database.retry(town.id, "root@host").await.unwrap();
    let stop = bed.claimed(town.id, "one").await;
    bed.database
        .finish(&stop, Err(Rejection::Failed(Failure::Throttled.into())), &TownChange::default())
        .await
        .unwrap();

    let events = all(&bed, town.id).await;
    let (alice, accepted) = (EventActor::User, "accepted".to_owned());
    assert_eq!(
        shown(&events),
        [
            (alice, EventAction::Stop, "failed".to_owned()),
            (EventActor::Operator, EventAction::Retry, accepted.clone()),
            (alice, EventAction::Stop, accepted.clone()),
            (EventActor::System, EventAction::RigRefused, "done".to_owned()),
            (alice, EventAction::AddRig, accepted.clone()),
            (alice, EventAction::Create, "done".to_owned()),
            (alice, EventAction::Create, accepted),
        ]
    );
    let causes: Vec<_> =
        events.iter().map(|event| event.cause.as_ref().map(|cause| cause.message().to_owned())).collect();
    assert_eq!(causes[0].as_deref(), Some(Failure::Throttled.message()));
    assert_eq!(causes[3].as_deref(), Some("the repository does not exist"));
    assert_eq!(causes.iter().flatten().count(), 2);
    assert_eq!(events[3].rig.as_ref().map(ToString::to_string), Some("web".to_owned()));
    let timed: Vec<_> = events.iter().map(|event| event.duration.is_some()).collect();
    assert_eq!(timed, [true, false, false, false, false, true, false], "only the ends of operations have a duration");
    let since = events[5].at - events[6].at;
    assert_eq!(events[5].duration, since.to_std().ok());
}

async fn pages_are_stable_while_events_are_added_and_removed(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    for name in ["a", "b", "c", "d", "e"] {
        Rigs::insert(&bed.database, &user("alice"), &rig(town.id, name), 9).await.unwrap();
    }
    // Events of one moment are in the order of their ids.
    bed.sql("UPDATE gastown_town_events SET at = '2026-01-01 00:00:00+00:00' WHERE action = 'add_rig'").await;
    let whole = all(&bed, town.id).await;
    assert!(whole.len() >= 7);
    let mut paged = page(&bed, town.id, None, 2).await;
    assert_eq!(paged, whole[..2]);
    Rigs::insert(&bed.database, &user("alice"), &rig(town.id, "f"), 9).await.unwrap();
    while let Some(last) = paged.last().map(|event| event.id) {
        let next = page(&bed, town.id, Some(last), 2).await;
        if next.is_empty() {
            break;
        }
        paged.extend(next);
    }
    assert_eq!(paged, whole, "a new event moves no page");
    let cursor = whole[2].id;
    bed.database.delete_events(std::time::Duration::ZERO, 100).await.unwrap();
    assert_eq!(page(&bed, town.id, Some(cursor), 2).await, [], "removed events have no older ones");
    assert_eq!(page(&bed, town.id, Some(EventId::new(fresh_uuid())), 2).await, []);
}

async fn history_is_for_the_owner_of_a_live_town(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let of = |caller: Caller, town| {
        let database = &bed.database;
        async move { database.events(&caller, EventPage { town, before: None, limit: 50 }).await }
    };
    assert!(of(alice(), town.id).await.unwrap().is_some());
    assert_eq!(of(Caller::Trusted(user("bob")), town.id).await.unwrap(), None);
    assert_eq!(of(alice(), TownId::new(fresh_uuid())).await.unwrap(), None);
    let revoked = Caller::Token(VerifiedToken { user: user("alice"), pepper: Some("another".into()) });
    assert!(matches!(of(revoked, town.id).await, Err(StoreError::Unauthorized)));
    bed.request(&town, OperationKind::Destroy).await;
    bed.sql("UPDATE gastown_towns SET destroyed_at = created_at, status = 'destroyed'").await;
    assert!(of(alice(), town.id).await.unwrap().is_some(), "its removal is in flight");
    bed.sql("DELETE FROM gastown_operations").await;
    assert_eq!(of(alice(), town.id).await.unwrap(), None);
}

async fn undone_operations_are_shown_as_they_were_requested(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "one").await;
    let undo = Operation { kind: OperationKind::Stop, ..start };
    let failed = Err(Rejection::Failed(Failure::NoCapacity.into()));
    bed.database.finish(&undo, failed, &TownChange::default()).await.unwrap();
    let last = all(&bed, town.id).await.remove(0);
    assert_eq!((last.action, last.outcome.known()), (EventAction::Start, Some(EventOutcome::Failed)));
    assert_eq!(last.message(), "The town could not be started");
}

async fn events_of_operators_only_are_left_out(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let before = all(&bed, town.id).await;
    for action in ["fly_ids", "orphan_deleted", "orphan_closed", "of_the_future"] {
        let id = fresh_uuid();
        bed.sql(&format!(
            "INSERT INTO gastown_town_events (id, town_id, actor, action, outcome, at) \
             SELECT '{id}', id, 'control-plane', '{action}', 'changed', created_at FROM gastown_towns"
        ))
        .await;
    }
    assert_eq!(all(&bed, town.id).await, before);
}
