//! Health checks: the towns that are due, the results that may be written, and the restarts that follow.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ephemeral_db::PostgresProxy;
use gastown_domain::ports::{
    Caller, CheckNeed, EventPage, FailedCheck, HealthBatch, HealthChecks, HealthRecord, Operations, Registry as _,
    TownChange,
};
use gastown_domain::{
    EventAction, EventActor, Failure, Health, HealthReason, HealthState, OperationKind, Progress, Rejection,
    RestartCount, Town, TownId,
};
use gastown_persistence::{Database, DatabaseSettings};

use crate::bed::{Bed, LEASE, on_both, request, user};

on_both! {
    due_towns_are_taken_once,
    replicas_share_the_towns,
    batch_of_a_dead_replica_is_taken_over,
    town_that_is_due_soon_fills_a_batch_and_begins_none,
    only_running_idle_towns_are_to_be_checked,
    result_is_stored_and_news_is_an_event,
    result_is_discarded_after_an_operation,
    result_is_discarded_after_a_takeover,
    success_of_an_operation_ends_the_failed_checks,
    restart_is_counted_with_its_operation,
    restart_is_refused_after_an_operation_of_the_owner,
    running_towns_without_a_next_check_are_enrolled,
    unreadable_towns_delay_no_others,
}

const AHEAD: Duration = Duration::from_secs(30);

async fn take(bed: &Bed, limit: u32) -> Option<HealthBatch> {
    bed.database.take(limit, AHEAD, LEASE).await.unwrap()
}

/// Takes all towns, of which there are some.
async fn taken(bed: &Bed) -> HealthBatch {
    take(bed, 1000).await.unwrap()
}

async fn write(database: &Database, mark: DateTime<Utc>, records: &[HealthRecord]) -> Vec<TownId> {
    HealthChecks::record(database, mark, records).await.unwrap()
}

fn towns(batch: &HealthBatch) -> Vec<TownId> {
    batch.checks.iter().map(|check| check.town).collect()
}

fn later(at: DateTime<Utc>) -> DateTime<Utc> {
    at + Duration::from_secs(180)
}

/// The third failed check of a town.
fn unhealthy(batch: &HealthBatch, town: &Town) -> HealthRecord {
    let health = Health {
        state: HealthState::Unhealthy.into(),
        since: Some(batch.taken_at),
        reason: Some(HealthReason::NoAnswer.into()),
        failures: 3,
        ..Health::default()
    };
    HealthRecord { town: town.id, health, is_news: true, next_check_at: Some(later(batch.taken_at)) }
}

async fn health_events(bed: &Bed) -> i64 {
    bed.number("SELECT count(*) FROM gastown_town_events WHERE action = 'health' AND actor = 'monitor'").await
}

async fn make_due(bed: &Bed) {
    bed.sql("UPDATE gastown_town_health SET next_check_at = '2001-01-01T00:00:00+00:00'").await;
}

async fn due_towns_are_taken_once(bed: Bed) {
    assert_eq!(take(&bed, 10).await, None);
    let (mill, barn) = (bed.running("alice", "mill").await, bed.running("bob", "barn").await);
    let first = take(&bed, 1).await.unwrap();
    assert_eq!(towns(&first), [mill.id], "the longest due comes first");
    assert_eq!(first.checks[0].owner, user("alice"));
    assert_eq!(towns(&taken(&bed).await), [barn.id]);
    assert_eq!(take(&bed, 10).await, None);
}

async fn replicas_share_the_towns(bed: Bed) {
    for number in 0..24 {
        bed.running("alice", &format!("mill-{number}")).await;
    }
    for round in 0..5 {
        make_due(&bed).await;
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let database = bed.database.clone();
            running.spawn(async move { database.take(5, AHEAD, LEASE).await.unwrap() });
        }
        let taken: Vec<_> = running.join_all().await.into_iter().flatten().flat_map(|batch| towns(&batch)).collect();
        let different: HashSet<_> = taken.iter().collect();
        assert_eq!(different.len(), taken.len(), "round {round}: one was taken twice");
        assert!(taken.len() >= 5, "round {round}: {}", taken.len());
    }
}

async fn batch_of_a_dead_replica_is_taken_over(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let dead = bed.database.take(10, AHEAD, Duration::ZERO).await.unwrap().unwrap();
    let batch = taken(&bed).await;
    assert_eq!((towns(&dead), towns(&batch)), (vec![town.id], vec![town.id]));
    assert!(dead.mark < batch.mark);
}

async fn town_that_is_due_soon_fills_a_batch_and_begins_none(bed: Bed) {
    let (mill, barn) = (bed.running("alice", "mill").await, bed.running("alice", "barn").await);
    let batch = taken(&bed).await;
    let soon = Some(batch.taken_at + Duration::from_secs(10));
    let record = |town: &Town| HealthRecord { next_check_at: soon, is_news: false, ..unhealthy(&batch, town) };
    write(&bed.database, batch.mark, &[record(&mill), record(&barn)]).await;
    assert_eq!(take(&bed, 10).await, None);
    let due = "UPDATE gastown_town_health SET next_check_at = '2001-01-01T00:00:00+00:00' WHERE town_id = ";
    bed.sql(&format!("{due} (SELECT id FROM gastown_towns WHERE town_name = 'barn')")).await;
    assert_eq!(towns(&taken(&bed).await), [barn.id, mill.id]);
}

async fn only_running_idle_towns_are_to_be_checked(bed: Bed) {
    let (running, busy) = (bed.running("alice", "running").await, bed.running("alice", "busy").await);
    let (stopped, gone) = (bed.running("alice", "stopped").await, bed.running("alice", "gone").await);
    bed.request(&busy, OperationKind::Stop).await;
    bed.sql("UPDATE gastown_towns SET status = 'stopped' WHERE town_name = 'stopped'").await;
    bed.destroy(&gone).await;
    let batch = taken(&bed).await;
    let need = |town: &Town| batch.checks.iter().find(|check| check.town == town.id).map(|check| check.need);
    assert_eq!(
        [&running, &busy, &stopped, &gone].map(need),
        [CheckNeed::Check, CheckNeed::Busy, CheckNeed::NotRunning, CheckNeed::NotRunning].map(Some)
    );
    let never = HealthRecord { next_check_at: None, is_news: false, ..unhealthy(&batch, &gone) };
    assert_eq!(write(&bed.database, batch.mark, &[never]).await, [gone.id]);
    bed.sql(
        "UPDATE gastown_town_health SET next_check_at = '2001-01-01T00:00:00+00:00' WHERE next_check_at IS NOT NULL",
    )
    .await;
    assert_eq!(taken(&bed).await.checks.len(), 3, "the destroyed town is not due any more");
}

async fn result_is_stored_and_news_is_an_event(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let batch = taken(&bed).await;
    assert_eq!(batch.checks[0].health, Health::default());
    let record = unhealthy(&batch, &town);
    assert_eq!(write(&bed.database, batch.mark, std::slice::from_ref(&record)).await, [town.id]);

    let shown = bed.health(town.id).await;
    assert_eq!((shown.state, shown.failures), (HealthState::Unhealthy.into(), 3));
    assert_eq!((shown.since, shown.reason), (Some(batch.taken_at), Some(HealthReason::NoAnswer.into())));
    assert_eq!(take(&bed, 10).await, None, "the next check is later");
    make_due(&bed).await;
    let again = taken(&bed).await;
    assert_eq!(again.checks[0].health, record.health, "the counts survive");
    let known = HealthRecord { is_news: false, ..unhealthy(&again, &town) };
    write(&bed.database, again.mark, &[known]).await;

    let caller = Caller::Trusted(user("alice"));
    let page = EventPage { town: town.id, before: None, limit: 10 };
    let events = bed.database.events(&caller, page).await.unwrap().unwrap();
    let news: Vec<_> = events.iter().filter(|event| event.action == EventAction::Health).collect();
    assert_eq!(news.len(), 1);
    assert_eq!((news[0].actor, news[0].cause.as_ref().unwrap().code()), (EventActor::Monitor, "unhealthy"));
    assert!(news[0].cause.as_ref().unwrap().message().ends_with(HealthReason::NoAnswer.message()));
}

async fn result_is_discarded_after_an_operation(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let batch = taken(&bed).await;
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "driver").await;
    bed.database.finish(&start, Ok(()), &TownChange::default()).await.unwrap();
    assert_eq!(write(&bed.database, batch.mark, &[unhealthy(&batch, &town)]).await, []);
    assert_eq!((bed.health(town.id).await.state, health_events(&bed).await), (HealthState::Unknown.into(), 0));
    assert_eq!(towns(&taken(&bed).await), [town.id], "it is due at once");
}

async fn result_is_discarded_after_a_takeover(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let late = bed.database.take(10, AHEAD, Duration::ZERO).await.unwrap().unwrap();
    let batch = taken(&bed).await;
    assert_eq!(write(&bed.database, late.mark, &[unhealthy(&late, &town)]).await, []);
    assert_eq!(write(&bed.database, batch.mark, &[unhealthy(&batch, &town)]).await, [town.id]);
    assert_eq!(write(&bed.database, batch.mark, &[unhealthy(&batch, &town)]).await, [], "it was written");
    assert_eq!(health_events(&bed).await, 1);
}

async fn success_of_an_operation_ends_the_failed_checks(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    for (result, failures) in [(Err(Rejection::Failed(Failure::SandboxUnhealthy.into())), 3), (Ok(()), 0)] {
        make_due(&bed).await;
        let batch = taken(&bed).await;
        write(&bed.database, batch.mark, &[unhealthy(&batch, &town)]).await;
        bed.database.restart(&request(&town, OperationKind::Restart), &Progress::default(), None).await.unwrap();
        let restart = bed.claimed(town.id, "driver").await;
        bed.database.finish(&restart, result, &TownChange::default()).await.unwrap();
        let health = bed.health(town.id).await;
        assert_eq!((health.failures, health.state), (failures, HealthState::Unhealthy.into()));
        assert_eq!(towns(&taken(&bed).await), [town.id], "it is checked at once");
    }
}

/// Takes a town, writes its third failed check, and returns the check that requests a restart.
async fn failed(bed: &Bed, town: &Town) -> FailedCheck {
    let batch = taken(bed).await;
    let record = unhealthy(&batch, town);
    write(&bed.database, batch.mark, &[record]).await;
    let count = RestartCount { restarts: 2, window_started_at: batch.taken_at };
    FailedCheck { count, next_check_at: later(batch.taken_at) }
}

async fn restart_is_counted_with_its_operation(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let check = failed(&bed, &town).await;
    let restart = request(&town, OperationKind::Restart);
    assert!(bed.database.restart(&restart, &Progress::default(), Some(check)).await.unwrap());
    assert!(!bed.database.restart(&restart, &Progress::default(), Some(check)).await.unwrap(), "one is in flight");
    let health = bed.health(town.id).await;
    assert_eq!((health.restarts, health.window_started_at), (2, Some(check.count.window_started_at)));
}

async fn restart_is_refused_after_an_operation_of_the_owner(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let check = failed(&bed, &town).await;
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "driver").await;
    bed.database.finish(&start, Ok(()), &TownChange::default()).await.unwrap();
    let restart = request(&town, OperationKind::Restart);
    assert!(!bed.database.restart(&restart, &Progress::default(), Some(check)).await.unwrap());
    assert_eq!(bed.health(town.id).await.restarts, 0);
}

async fn running_towns_without_a_next_check_are_enrolled(bed: Bed) {
    let (mill, barn) = (bed.running("alice", "mill").await, bed.running("alice", "barn").await);
    bed.create("alice", "coming").await;
    assert_eq!(bed.database.enrol(10).await.unwrap(), 0);
    bed.sql("UPDATE gastown_town_health SET next_check_at = NULL").await;
    bed.sql("DELETE FROM gastown_town_health WHERE town_id = (SELECT id FROM gastown_towns WHERE town_name = 'barn')")
        .await;
    assert_eq!(take(&bed, 10).await, None);
    assert_eq!((bed.database.enrol(1).await.unwrap(), bed.database.enrol(10).await.unwrap()), (1, 1));
    let all: HashSet<_> = towns(&taken(&bed).await).into_iter().collect();
    assert_eq!(all, HashSet::from([mill.id, barn.id]));
}

async fn unreadable_towns_delay_no_others(bed: Bed) {
    bed.running("alice", "broken").await;
    let town = bed.running("alice", "mill").await;
    bed.sql("UPDATE gastown_town_health SET failures = -1 WHERE town_id = (SELECT id FROM gastown_towns WHERE town_name = 'broken')")
        .await;
    assert_eq!(towns(&taken(&bed).await), [town.id]);
    assert_eq!(take(&bed, 10).await, None);
}

/// A pass over a thousand towns costs two writing statements, which are these two calls.
#[tokio::test]
async fn batch_costs_one_statement_to_take_and_one_to_write() {
    let bed = Bed::postgres().await;
    for number in 0..5 {
        bed.running("alice", &format!("mill-{number}")).await;
    }
    let proxy = PostgresProxy::in_front_of(bed.place.url()).await.unwrap();
    let database = Database::connect(&DatabaseSettings::at(proxy.url())).await.unwrap();
    let mut costs = Vec::new();
    for _ in 0..2 {
        make_due(&bed).await;
        let before = proxy.statements();
        let batch = database.take(1000, AHEAD, LEASE).await.unwrap().unwrap();
        let taken = proxy.statements();
        let records = batch.checks.iter().map(|check| HealthRecord {
            town: check.town,
            health: check.health.clone(),
            is_news: false,
            next_check_at: Some(later(batch.taken_at)),
        });
        assert_eq!(write(&database, batch.mark, &records.collect::<Vec<_>>()).await.len(), 5);
        costs = vec![taken - before, proxy.statements() - taken];
    }
    // Begin, time, select, update, commit. Begin, upsert, commit.
    assert_eq!(costs, [5, 3]);
}
