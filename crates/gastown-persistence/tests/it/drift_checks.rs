//! Drift checks: the towns that are due, and the results that may be recorded.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    DriftChecks, DriftRecord, Operations, Operator as _, Registry as _, RoundFigures, TownChange,
};
use gastown_domain::{AgreeingObservations, Drift, Failure, OperationKind, Rejection, Town, TownId, TownStatus};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

use crate::bed::{Bed, noon, on_both, record, take_due};

on_both! {
    settled_towns_are_taken_the_longest_unseen_first,
    checked_town_is_not_taken_again_within_the_period,
    replicas_share_the_checks,
    unreadable_towns_are_skipped_and_do_not_delay_others,
    finding_is_recorded_completely,
    agreement_has_the_time_of_its_look,
    only_new_drift_is_recorded_as_an_event,
    finding_is_discarded_after_the_town_was_taken_again,
    finding_is_discarded_after_an_operation,
    operation_leaves_a_new_mark_even_if_the_clock_goes_back,
    finding_is_discarded_after_a_destroy,
    successful_operation_clears_the_drift,
    failed_operation_keeps_the_drift_and_clears_the_suspicion,
    drift_found_by_an_operation_is_recorded_once,
    soft_deleted_town_has_no_drift,
}

const EVERY: Duration = Duration::from_secs(60);

async fn take(bed: &Bed, limit: u32) -> Vec<(TownId, DateTime<Utc>)> {
    let taken = take_due(&bed.database, limit, EVERY).await;
    taken.into_iter().map(|(town, _, at)| (town.id, at)).collect()
}

/// Takes this town, even if it was checked just before.
async fn taken(bed: &Bed, town: &Town) -> DateTime<Utc> {
    let found = take_due(&bed.database, 100, Duration::ZERO).await;
    found.into_iter().find(|(found, ..)| found.id == town.id).unwrap().2
}

/// A confirmed stop of the machine.
fn stopped(taken_at: DateTime<Utc>) -> DriftRecord {
    DriftRecord {
        taken_at,
        suspicion: Some(AgreeingObservations { drift: Drift::MachineStopped, looks: 3 }),
        drift: Some(Drift::MachineStopped.into()),
        change: TownChange { status: Some(TownStatus::Stopped), ..TownChange::default() },
    }
}

/// A finding without drift.
fn agreeing(taken_at: DateTime<Utc>) -> DriftRecord {
    DriftRecord { taken_at, suspicion: None, drift: None, change: TownChange::default() }
}

async fn drift_events(bed: &Bed) -> i64 {
    bed.number("SELECT count(*) FROM gastown_town_events WHERE action = 'drift' AND actor = 'control-plane'").await
}

async fn settled_towns_are_taken_the_longest_unseen_first(bed: Bed) {
    bed.create("alice", "coming").await;
    let busy = bed.running("alice", "busy").await;
    bed.request(&busy, OperationKind::Stop).await;
    let gone = bed.running("alice", "gone").await;
    bed.destroy(&gone).await;
    let [old, new, never] =
        [bed.running("alice", "old").await, bed.running("bob", "new").await, bed.running("bob", "never").await];
    for (name, at) in
        [("old", "'2001-01-01T00:00:00+00:00'"), ("new", "'2002-01-01T00:00:00+00:00'"), ("never", "NULL")]
    {
        let town = format!("(SELECT id FROM gastown_towns WHERE town_name = '{name}')");
        bed.sql(&format!("UPDATE gastown_town_health SET checked_at = {at} WHERE town_id = {town}")).await;
    }
    let found = take_due(&bed.database, 2, EVERY).await;
    assert_eq!(found.iter().map(|(town, ..)| town.id).collect::<Vec<_>>(), [never.id, old.id]);
    assert_eq!(found[1].1.checked_at, Some("2001-01-01T00:00:00Z".parse().unwrap()), "the earlier time");
    assert_eq!(take(&bed, 10).await.iter().map(|(town, _)| *town).collect::<Vec<_>>(), [new.id]);

    bed.sql("DELETE FROM gastown_town_health").await;
    assert_eq!(take(&bed, 10).await.len(), 3, "a town without a health row was never checked");
}

async fn checked_town_is_not_taken_again_within_the_period(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let first = taken(&bed, &town).await;
    assert_eq!(take(&bed, 10).await, []);
    assert_eq!(bed.health(town.id).await.checked_at, Some(first), "the returned time is stored");
    bed.sql("UPDATE gastown_town_health SET checked_at = '2001-01-01T00:00:00+00:00'").await;
    assert_eq!(take(&bed, 10).await.len(), 1);
    assert!(take_due(&bed.database, 10, Duration::MAX).await.is_empty());
}

async fn replicas_share_the_checks(bed: Bed) {
    for number in 0..24 {
        bed.running("alice", &format!("mill-{number}")).await;
    }
    for round in 0..5 {
        bed.sql("UPDATE gastown_town_health SET checked_at = NULL").await;
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let database = bed.database.clone();
            running.spawn(async move { take_due(&database, 5, EVERY).await });
        }
        let taken: Vec<_> = running.join_all().await.into_iter().flatten().map(|(town, ..)| town.id).collect();
        let different: HashSet<_> = taken.iter().collect();
        assert_eq!(different.len(), taken.len(), "round {round}: one was taken twice");
    }
}

async fn unreadable_towns_are_skipped_and_do_not_delay_others(bed: Bed) {
    let good = bed.running("alice", "good").await;
    bed.running("alice", "bad").await;
    bed.running("alice", "worse").await;
    bed.sql("UPDATE gastown_town_health SET checked_at = NULL").await;
    let of = |name: &str| format!("(SELECT id FROM gastown_towns WHERE town_name = '{name}')");
    bed.sql(&format!(
        "UPDATE gastown_town_health SET drift = 'volume_lost', drift_since = NULL WHERE town_id = {}",
        of("worse")
    ))
    .await;
    bed.sql("UPDATE gastown_towns SET fly_machine_id = '../x' WHERE town_name = 'bad'").await;
    let mut found = Vec::new();
    for _ in 0..3 {
        found.extend(take(&bed, 1).await);
    }
    assert_eq!(found.into_iter().map(|(town, _)| town).collect::<Vec<_>>(), [good.id]);
}

async fn finding_is_recorded_completely(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let taken_at = taken(&bed, &town).await;
    let mut finding = stopped(taken_at);
    finding.change.machine = Some(Some("148ed21a031189".parse().unwrap()));
    assert!(DriftChecks::record(&bed.database, &town, &finding).await.unwrap());

    let mut expected = town.clone();
    (expected.status, expected.machine_id) = (TownStatus::Stopped, finding.change.machine.clone().unwrap());
    assert_eq!(bed.database.load(town.id).await.unwrap().unwrap(), expected);
    let health = bed.health(town.id).await;
    assert_eq!((health.checked_at, health.suspicion), (Some(taken_at), finding.suspicion));
    assert_eq!(health.compared_at, Some(taken_at));
    let (drift, since) = health.drift.unwrap();
    assert_eq!(drift, Drift::MachineStopped);
    assert!(since >= taken_at - chrono::TimeDelta::milliseconds(1), "{since} {taken_at}");

    let event = bed.database.town_details(town.id, &[], 1).await.unwrap().unwrap().events.remove(0);
    let said = (event.actor.as_str(), event.action.as_str(), event.outcome.as_str(), event.operation);
    assert_eq!(said, ("control-plane", "drift", "machine_stopped", None));
    let what = "SELECT count(*) FROM gastown_town_events WHERE CAST(detail AS text) LIKE '%148ed21a031189%' \
                AND CAST(detail AS text) LIKE '%running%' AND CAST(detail AS text) LIKE '%stopped%'";
    assert_eq!(bed.number(what).await, 1);
}

async fn agreement_has_the_time_of_its_look(bed: Bed) {
    let (mill, inn) = (bed.running("alice", "mill").await, bed.running("bob", "inn").await);
    let compared_at = async |town: &Town| bed.health(town.id).await.compared_at;
    let agreed = async |towns: &[(TownId, DateTime<Utc>)]| {
        DriftChecks::report(&bed.database, 0, RoundFigures::default(), towns).await.unwrap();
    };
    let first = taken(&bed, &mill).await;
    assert_eq!((compared_at(&mill).await, compared_at(&inn).await), (None, None), "a look alone says nothing");
    agreed(&[(mill.id, first), (inn.id, first)]).await;
    assert_eq!((compared_at(&mill).await, compared_at(&inn).await), (Some(first), Some(first)));
    // The next look shows the first town only.
    let second = taken(&bed, &mill).await;
    agreed(&[(mill.id, second)]).await;
    assert_eq!((compared_at(&mill).await, compared_at(&inn).await), (Some(second), Some(first)));
    assert_eq!(bed.health(inn.id).await.checked_at, Some(second));
    // A look from before the town was taken again, or before an operation, moves nothing.
    let third = taken(&bed, &mill).await;
    agreed(&[(mill.id, second), (inn.id, second)]).await;
    assert_eq!((compared_at(&mill).await, compared_at(&inn).await), (Some(second), Some(first)));
    bed.sql("UPDATE gastown_town_health SET checked_at = '2100-01-01T00:00:00+00:00'").await;
    agreed(&[(mill.id, third)]).await;
    assert_eq!(compared_at(&mill).await, Some(second));
}

async fn only_new_drift_is_recorded_as_an_event(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let suspected = DriftRecord {
        suspicion: Some(AgreeingObservations { drift: Drift::MachineStopped, looks: 1 }),
        ..agreeing(taken(&bed, &town).await)
    };
    assert!(DriftChecks::record(&bed.database, &town, &suspected).await.unwrap());
    let health = bed.health(town.id).await;
    assert_eq!((health.suspicion, health.drift, drift_events(&bed).await), (suspected.suspicion, None, 0));

    assert!(DriftChecks::record(&bed.database, &town, &stopped(taken(&bed, &town).await)).await.unwrap());
    let first = bed.health(town.id).await.drift;
    assert!(DriftChecks::record(&bed.database, &town, &stopped(taken(&bed, &town).await)).await.unwrap());
    assert_eq!(bed.health(town.id).await.drift, first, "the time of the first confirmation");
    assert_eq!(drift_events(&bed).await, 1);

    let other = DriftRecord { drift: Some(Drift::MachineMissing.into()), ..agreeing(taken(&bed, &town).await) };
    assert!(DriftChecks::record(&bed.database, &town, &other).await.unwrap());
    assert_eq!(drift_events(&bed).await, 2);
    assert!(DriftChecks::record(&bed.database, &town, &agreeing(taken(&bed, &town).await)).await.unwrap());
    let health = bed.health(town.id).await;
    assert_eq!((health.suspicion, health.drift, drift_events(&bed).await), (None, None, 2));
}

/// Asserts that a finding is discarded.
async fn is_refused(bed: &Bed, town: &Town, finding: &DriftRecord) {
    let before = (bed.database.load(town.id).await.unwrap(), bed.health(town.id).await);
    assert!(!DriftChecks::record(&bed.database, town, finding).await.unwrap());
    let after = (bed.database.load(town.id).await.unwrap(), bed.health(town.id).await);
    assert_eq!(after, before);
    assert_eq!(drift_events(bed).await, 0);
}

async fn finding_is_discarded_after_the_town_was_taken_again(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    // On a clock of milliseconds, both may read the same time.
    let (first, second) = (taken(&bed, &town).await, taken(&bed, &town).await);
    assert!(second > first);
    is_refused(&bed, &town, &stopped(first)).await;
    assert!(DriftChecks::record(&bed.database, &town, &stopped(second)).await.unwrap());
}

async fn finding_is_discarded_after_an_operation(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let taken_at = taken(&bed, &town).await;
    bed.request(&town, OperationKind::Start).await;
    is_refused(&bed, &town, &stopped(taken_at)).await;
    let start = bed.claimed(town.id, "driver").await;
    bed.database.finish(&start, Ok(()), &TownChange::default()).await.unwrap();
    is_refused(&bed, &town, &stopped(taken_at)).await;
}

async fn operation_leaves_a_new_mark_even_if_the_clock_goes_back(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    bed.sql("UPDATE gastown_town_health SET checked_at = '2100-01-01T00:00:00+00:00'").await;
    let taken_at = bed.health(town.id).await.checked_at.unwrap();
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "driver").await;
    bed.database.finish(&start, Ok(()), &TownChange::default()).await.unwrap();
    is_refused(&bed, &town, &stopped(taken_at)).await;
}

async fn finding_is_discarded_after_a_destroy(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let taken_at = taken(&bed, &town).await;
    bed.sql("UPDATE gastown_towns SET destroyed_at = '2026-11-23T12:00:00+00:00', status = 'destroyed'").await;
    is_refused(&bed, &town, &stopped(taken_at)).await;
}

/// A town with a confirmed drift and a suspected one.
async fn drifted(bed: &Bed) -> Town {
    let town = bed.running("alice", "mill").await;
    let finding = DriftRecord {
        suspicion: Some(AgreeingObservations { drift: Drift::VolumeLost, looks: 2 }),
        ..stopped(taken(bed, &town).await)
    };
    assert!(DriftChecks::record(&bed.database, &town, &finding).await.unwrap());
    bed.database.load(town.id).await.unwrap().unwrap()
}

async fn successful_operation_clears_the_drift(bed: Bed) {
    let town = drifted(&bed).await;
    let before = bed.health(town.id).await;
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "driver").await;
    bed.database.finish(&start, Ok(()), &TownChange::default()).await.unwrap();
    let after = bed.health(town.id).await;
    assert_eq!((after.suspicion, &after.drift), (None, &None));
    assert!(after.checked_at > before.checked_at, "{after:?}");
}

async fn failed_operation_keeps_the_drift_and_clears_the_suspicion(bed: Bed) {
    let town = drifted(&bed).await;
    let before = bed.health(town.id).await;
    bed.request(&town, OperationKind::Start).await;
    let start = bed.claimed(town.id, "driver").await;
    let failed = Err(Rejection::Failed(Failure::SandboxUnhealthy.into()));
    bed.database.finish(&start, failed, &TownChange::default()).await.unwrap();
    let after = bed.health(town.id).await;
    assert_eq!((after.suspicion, &after.drift), (None, &before.drift));
    assert!(after.checked_at > before.checked_at, "{after:?}");
}

async fn drift_found_by_an_operation_is_recorded_once(bed: Bed) {
    let town = drifted(&bed).await;
    let found = TownChange { drift: Some(Drift::MachineMissing), ..TownChange::default() };
    let mut since = None;
    for outcome in [Ok(()), Err(Rejection::Failed(Failure::SandboxUnhealthy.into()))] {
        bed.request(&town, OperationKind::Stop).await;
        let stop = bed.claimed(town.id, "driver").await;
        bed.database.finish(&stop, outcome, &found).await.unwrap();
        let health = bed.health(town.id).await;
        let (drift, believed_since) = health.drift.unwrap();
        assert_eq!((drift, health.suspicion), (Drift::MachineMissing.into(), None));
        assert_eq!(*since.get_or_insert(believed_since), believed_since, "the second one is not new");
    }
    let said = "SELECT count(*) FROM gastown_town_events \
                WHERE actor = 'control-plane' AND action = 'drift' AND outcome = 'machine_missing'";
    assert_eq!(bed.number(said).await, 1);
}

async fn soft_deleted_town_has_no_drift(bed: Bed) {
    let town = drifted(&bed).await;
    bed.request(&town, OperationKind::Destroy).await;
    let destroy = bed.claimed(town.id, "driver").await;
    let mut hide = record(gastown_domain::StepName::SoftDelete);
    (hide.kind, hide.town.soft_deleted_at) = (OperationKind::Destroy, Some(noon()));
    Operations::record(&bed.database, destroy.fence(), &hide).await.unwrap();
    assert_eq!(bed.health(town.id).await.drift, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_town_is_skipped() {
    let bed = Bed::postgres().await;
    bed.running("alice", "locked").await;
    let free = bed.running("alice", "free").await;
    bed.sql("UPDATE gastown_town_health SET checked_at = NULL").await;
    let impatient = bed.again(|settings| settings.lock_timeout = Duration::from_millis(1)).await;
    let other = bed.raw.begin().await.unwrap();
    other.execute_unprepared("SELECT 1 FROM gastown_towns WHERE town_name = 'locked' FOR UPDATE").await.unwrap();
    let found = take_due(&impatient, 10, EVERY).await;
    assert_eq!(found.into_iter().map(|(town, ..)| town.id).collect::<Vec<_>>(), [free.id]);
    other.rollback().await.unwrap();
    assert_eq!(take(&bed, 10).await.len(), 1);
}

/// Runs `meanwhile` while the first statement of a check reads. Returns the taken towns.
async fn taken_after(meanwhile: &str) -> Vec<(TownId, DateTime<Utc>)> {
    let bed = Bed::postgres().await;
    bed.running("alice", "mill").await;
    bed.sql("UPDATE gastown_town_health SET checked_at = NULL").await;
    // From here on, each read of the health waits for a lock in the middle of its statement.
    bed.sql(
        "CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN true; END'",
    )
    .await;
    bed.sql("ALTER TABLE gastown_town_health RENAME TO behind_the_gate").await;
    bed.sql("CREATE VIEW gastown_town_health AS SELECT * FROM behind_the_gate WHERE gate()").await;
    let other = bed.raw.begin().await.unwrap();
    other.execute_unprepared("SELECT pg_advisory_xact_lock(1)").await.unwrap();

    let be_quicker = async {
        while bed.number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").await == 0 {
            tokio::task::yield_now().await;
        }
        other.execute_unprepared("SELECT 1 FROM gastown_towns FOR NO KEY UPDATE").await.unwrap();
        other.execute_unprepared(meanwhile).await.unwrap();
        other.commit().await.unwrap();
    };
    tokio::join!(take(&bed, 10), be_quicker).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn town_that_is_taken_during_the_read_is_left_out() {
    let took_it = "UPDATE behind_the_gate SET checked_at = now()";
    let asked_for_something = "INSERT INTO gastown_operations \
        (town_id, id, kind, requested_by, next_attempt_at, deadline_at, created_at, updated_at) \
        SELECT id, id, 'stop', user_id, now(), now(), now(), now() FROM gastown_towns";
    for meanwhile in [took_it, asked_for_something] {
        assert_eq!(taken_after(meanwhile).await, [], "{meanwhile}");
    }
    assert_eq!(taken_after("SELECT 1").await.len(), 1, "the lock itself excludes nothing");
}
