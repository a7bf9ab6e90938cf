//! The history that an owner reads: its order, its pages, its durations, and what is kept out of it.

use gastown_domain::ports::{
    Caller, EventPage, History as _, Operations as _, Operator as _, Registry as _, Rigs, StoreError, TownChange,
    VerifiedToken,
};
use gastown_domain::{
    EventAction, EventActor, EventCause, EventId, EventOutcome, Failure, HistoryEvent, Operation, OperationKind,
    Rejection, RigStatus, TownId, TownStatus,
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

    // Requests have the time of their process, which is a fixed one here. So the order is not compared.
    let events = all(&bed, town.id).await;
    let of = |action: EventAction, outcome: EventOutcome| {
        let found = |event: &&HistoryEvent| (event.action, event.outcome.known()) == (action, Some(outcome));
        events.iter().find(found).unwrap_or_else(|| panic!("no {action:?} {outcome:?}: {events:?}"))
    };
    assert_eq!(events.len(), 7);
    let (accepted, done) = (EventOutcome::Accepted, EventOutcome::Done);
    let failed = of(EventAction::Stop, EventOutcome::Failed);
    assert_eq!(failed.cause, Some(EventCause::Failure(Failure::Throttled.into())));
    let refused = of(EventAction::RigRefused, done);
    assert_eq!(refused.cause, Some(EventCause::Sandbox("the repository does not exist".to_owned())));
    assert_eq!((refused.rig.as_ref(), refused.actor), (Some(&web.name), EventActor::System));
    assert_eq!(of(EventAction::Retry, accepted).actor, EventActor::Operator);
    let (created, requested) = (of(EventAction::Create, done), of(EventAction::Create, accepted));
    assert_eq!(created.duration, (created.at - requested.at).to_std().ok());
    for event in [of(EventAction::Stop, accepted), of(EventAction::AddRig, accepted), requested] {
        assert_eq!((event.actor, event.duration, &event.cause), (EventActor::User, None, &None));
    }
    assert_eq!((failed.actor, failed.duration.is_some()), (EventActor::User, true));
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
