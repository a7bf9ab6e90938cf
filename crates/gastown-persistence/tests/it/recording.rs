use std::time::Duration;

use chrono::TimeDelta;
use gastown_domain::ports::{
    NewOperation, OperationResult, Operations as _, Operator as _, Registry as _, StoreError, TownChange,
};
use gastown_domain::{Failure, Operation, OperationKind, Phase, Progress, Rejection, StepName, TownStatus};

use crate::bed::{Bed, LEASE, is_fenced, noon, on_both, record, request};

on_both! {
    step_and_town_are_recorded_together,
    waits_use_the_databases_clock,
    deadline_uses_the_databases_clock_and_ends_with_the_calendar,
    moved_deadline_is_stored,
    renewal_returns_the_databases_time,
    record_without_hold_releases_the_claim,
    forbidden_status_is_refused_and_nothing_is_written,
    second_soft_delete_keeps_the_first_time_and_one_suffix,
    outcome_is_available_after_the_end,
    result_of_the_last_sync_is_kept_in_the_history,
    history_keeps_every_resource_id,
}

async fn history_keeps_every_resource_id(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let change = |machine: Option<&str>, volume: Option<&str>| TownChange {
        machine: Some(machine.map(|id| id.parse().unwrap())),
        volume: Some(volume.map(|id| id.parse().unwrap())),
        ..TownChange::default()
    };
    let told = async |text: &str| {
        let of_it = "FROM gastown_town_events WHERE action = 'fly_ids' AND outcome = 'changed'";
        bed.number(&format!("SELECT count(*) {of_it} AND replace(CAST(detail AS TEXT), ' ', '') LIKE '%{text}%'")).await
    };
    let mut step = record(StepName::CreateMachine);
    for (next, all) in [
        (change(Some("m1"), Some("vol_1")), 0),
        (change(Some("m1"), Some("vol_1")), 0),
        (change(Some("m2"), Some("vol_1")), 1),
        (change(Some("m2"), None), 2),
    ] {
        step.town = next;
        bed.database.record(claim.fence(), &step).await.unwrap();
        assert_eq!(told("").await, all, "{:?}", step.town);
    }
    let end = TownChange { machine: Some(None), soft_deleted_at: Some(noon()), ..TownChange::default() };
    bed.database.finish(&claim, Err(Rejection::RolledBack(Failure::MachineRefused.into())), &end).await.unwrap();

    for id in ["m1", "m2", "vol_1"] {
        assert_eq!(told(&format!("\"from\":\"{id}\"")).await, 1, "{id}");
    }
    let of_operation = "SELECT count(*) FROM gastown_town_events WHERE operation_id IS NOT NULL";
    assert_eq!(bed.number(of_operation).await, 5, "accepted, three ids, ended");
    let outcome = bed.database.outcome(claim.id).await.unwrap();
    assert_eq!(outcome, Some(Err(Rejection::RolledBack(Failure::MachineRefused.into()))));
}

pub(crate) async fn step_and_town_are_recorded_together(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let mut step = record(StepName::DeleteMachine);
    step.kind = OperationKind::RollBack;
    step.phase = Phase::Settled;
    (step.attempt, step.last_error, step.cause) =
        (4, Some(Failure::Throttled.into()), Some(Failure::MachineRefused.into()));
    step.progress =
        Progress { refused_regions: vec!["ord".parse().unwrap()], synced: Some(false), ..Progress::default() };
    step.town = TownChange {
        machine: Some(Some("148ed21a031189".parse().unwrap())),
        volume: Some(Some("vol_9vlz".parse().unwrap())),
        region: Some(Some("ams".parse().unwrap())),
        synced_at: Some(noon()),
        ..TownChange::default()
    };
    bed.database.record(claim.fence(), &step).await.unwrap();

    let mut expected = claim.clone();
    (expected.kind, expected.phase, expected.step) = (step.kind, step.phase, step.step.clone());
    (expected.attempt, expected.last_error, expected.cause) =
        (step.attempt, step.last_error.clone(), step.cause.clone());
    (expected.progress, expected.deadline_at) = (step.progress.clone(), step.deadline_at);
    let found = bed.database.current(town.id).await.unwrap().unwrap();
    (expected.next_attempt_at, expected.updated_at) = (found.next_attempt_at, found.updated_at);
    assert_eq!(found, expected.into());

    let mut moved = town.clone();
    moved.machine_id = Some("148ed21a031189".parse().unwrap());
    moved.volume_id = Some("vol_9vlz".parse().unwrap());
    moved.region = Some("ams".parse().unwrap());
    moved.last_r2_sync_at = Some(noon());
    assert_eq!(bed.database.load(town.id).await.unwrap().unwrap(), moved);

    step.town = TownChange { machine: Some(None), region: Some(None), ..TownChange::default() };
    bed.database.record(claim.fence(), &step).await.unwrap();
    (moved.machine_id, moved.region) = (None, None);
    assert_eq!(bed.database.load(town.id).await.unwrap().unwrap(), moved);
}

async fn waits_use_the_databases_clock(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let mut step = record(StepName::CreateVolume);
    step.wait = Duration::from_secs(90);
    let before = bed.database.renew(claim.fence(), LEASE).await.unwrap();
    bed.database.record(claim.fence(), &step).await.unwrap();
    let found = bed.database.current(town.id).await.unwrap().unwrap();
    let after = bed.database.renew(claim.fence(), LEASE).await.unwrap();
    assert_eq!(found.next_attempt_at - found.updated_at, TimeDelta::seconds(90));
    // The caller's clock is a fixed noon, so this is not its time.
    assert!((before..=after).contains(&found.updated_at), "{found:?} is not of {before} to {after}");
    assert_eq!(found.created_at, noon());
}

async fn deadline_uses_the_databases_clock_and_ends_with_the_calendar(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let timeouts = [Some(Duration::from_secs(90)), Some(Duration::MAX), None];
    for timeout in timeouts {
        let stop = NewOperation { timeout, ..request(&town, OperationKind::Stop) };
        bed.database.request(&stop).await.unwrap();
        let found = bed.database.current(town.id).await.unwrap().unwrap();
        if timeout == Some(Duration::from_secs(90)) {
            // The first due time is the database's. The time of acceptance is the caller's.
            assert_eq!(found.deadline_at.unwrap() - found.next_attempt_at, TimeDelta::seconds(90));
            assert_ne!(found.next_attempt_at, stop.at);
        } else {
            assert_eq!(found.deadline_at, None, "{timeout:?}");
        }
        bed.sql("DELETE FROM gastown_operations").await;
    }
}

async fn moved_deadline_is_stored(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let beyond = Some(chrono::DateTime::<chrono::Utc>::MAX_UTC);
    for (given, kept) in [(Some(noon()), Some(noon())), (beyond, None), (None, None)] {
        let mut step = record(StepName::CreateVolume);
        step.deadline_at = given;
        bed.database.record(claim.fence(), &step).await.unwrap();
        assert_eq!(bed.database.current(town.id).await.unwrap().unwrap().deadline_at, kept);
    }
}

async fn renewal_returns_the_databases_time(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let now = bed.database.renew(claim.fence(), LEASE).await.unwrap();
    let held = bed.database.operations(1).await.unwrap().remove(0).unwrap();
    assert_eq!(held.lease_expires_at, Some(now + LEASE));
}

async fn record_without_hold_releases_the_claim(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let mut step = record(StepName::CreateVolume);
    step.hold = None;
    bed.database.record(claim.fence(), &step).await.unwrap();
    let held = bed.database.operations(1).await.unwrap().remove(0).unwrap();
    assert_eq!((held.held_by, held.lease_expires_at), (None, None));
    assert_eq!(bed.claim_due("two", 10).await, [town.id]);
    assert!(is_fenced(&bed.database.record(claim.fence(), &step).await));
}

async fn forbidden_status_is_refused_and_nothing_is_written(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    let before = bed.database.current(town.id).await.unwrap();
    let change = TownChange { status: Some(TownStatus::Stopped), ..TownChange::default() };
    let mut step = record(StepName::AwaitStopped);
    step.town = change.clone();
    let refusals = [
        bed.database.record(claim.fence(), &step).await.map(drop),
        bed.database.finish(&claim, Ok(()), &change).await.map(drop),
    ];
    for refused in refusals {
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    }
    assert_eq!(bed.database.current(town.id).await.unwrap(), before);
    assert_eq!(bed.database.load(town.id).await.unwrap().unwrap(), town);
}

async fn second_soft_delete_keeps_the_first_time_and_one_suffix(bed: Bed) {
    let town = bed.create("alice", "mill").await;
    let claim = bed.claimed(town.id, "one").await;
    for late in [0, 5] {
        let mut step = record(StepName::SoftDelete);
        step.kind = OperationKind::RollBack;
        step.town.soft_deleted_at = Some(noon() + TimeDelta::seconds(late));
        bed.database.record(claim.fence(), &step).await.unwrap();
    }
    let tombstone = bed.database.load(town.id).await.unwrap().unwrap();
    assert_eq!(tombstone.destroyed_at, Some(noon()));
    assert_eq!(tombstone.sandbox_id, town.sandbox_id.tombstone(town.id));
    assert_eq!(tombstone.status, TownStatus::Destroyed);
}

async fn outcome_is_available_after_the_end(bed: Bed) {
    let outcomes: [OperationResult; 4] = [
        Ok(()),
        Err(Rejection::Failed(Failure::SandboxUnhealthy.into())),
        Err(Rejection::RolledBack(Failure::NoCapacity.into())),
        Err(Rejection::Preempted),
    ];
    let town = bed.running("alice", "mill").await;
    for outcome in outcomes {
        bed.request(&town, OperationKind::Stop).await;
        let claim = bed.claimed(town.id, "one").await;
        assert_eq!(bed.database.outcome(claim.id).await.unwrap(), None);
        bed.database.finish(&claim, outcome.clone(), &TownChange::default()).await.unwrap();
        assert_eq!(bed.database.outcome(claim.id).await.unwrap(), Some(outcome));
        assert_eq!(bed.database.current(town.id).await.unwrap(), None);
    }
    assert_eq!(bed.number("SELECT count(*) FROM gastown_town_events WHERE outcome = 'accepted'").await, 5);
}

async fn result_of_the_last_sync_is_kept_in_the_history(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    for (synced, told) in [(None, 0), (Some(true), 1), (Some(false), 2)] {
        bed.request(&town, OperationKind::Stop).await;
        let claim = bed.claimed(town.id, "one").await;
        let mut step = record(StepName::StopMachine);
        (step.kind, step.progress.synced) = (OperationKind::Stop, synced);
        bed.database.record(claim.fence(), &step).await.unwrap();
        let ended = Operation { progress: step.progress, ..claim };
        bed.database.finish(&ended, Ok(()), &TownChange::default()).await.unwrap();
        let told_so_far = "SELECT count(*) FROM gastown_town_events WHERE action = 'stop' AND outcome = 'done' \
                           AND CAST(detail AS TEXT) LIKE '%synced%'";
        assert_eq!(bed.number(told_so_far).await, told, "{synced:?}");
        let word = synced.map_or("null".to_owned(), |synced| synced.to_string());
        let said =
            format!("SELECT count(*) FROM gastown_town_events WHERE CAST(detail AS TEXT) LIKE '%synced%{word}%'");
        assert_eq!(bed.number(&said).await, i64::from(synced.is_some()), "{synced:?}");
    }
}
