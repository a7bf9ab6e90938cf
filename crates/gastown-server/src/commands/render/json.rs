//! JSON output: keys in camelCase and times in ISO 8601, as on the wire.

use chrono::{DateTime, SecondsFormat, Utc};
use gastown_domain::ports::{
    Alarm, HeldOperation, JobState, ObservedOrphan, Orphan, Readable, TownDetails, TownEvent, TownHealth, Unreadable,
};
use gastown_domain::{Drift, Failure, Recorded, RecordedOperation, Rig, SandboxReport, Town};
use gastown_orchestrator::{FoundOrphan, Removal, Survey, Verdict};
use serde_json::{Value, json};

use super::{OperationsList, json_lists, needs_attention};
use crate::commands::deletion::Deletion;

/// Returns everything about a town.
pub(in crate::commands) fn town_details(town_details: &TownDetails) -> Value {
    json!({
        "town": town(&town_details.town),
        "rigs": town_details.rigs.iter().map(rig).collect::<Vec<_>>(),
        "health": town_details.health.as_ref().map_or_else(unreadable, health),
        "operation": town_details.operation.as_ref().map(in_flight),
        "events": town_details.events.iter().map(event).collect::<Vec<_>>(),
        "orphans": town_details.orphans.iter().map(orphan).collect::<Vec<_>>(),
        "unreadable": town_details.unreadable.iter().map(unreadable).collect::<Vec<_>>(),
    })
}

/// Returns the operations in flight, and the state of the periodic jobs.
pub(in crate::commands) fn operations(list: &OperationsList) -> Value {
    let in_flight = list.in_flight.iter().flatten().map(in_flight);
    let failed = list.failed.iter().flat_map(|(failed, _)| failed).map(json_lists::event);
    json!({
        "operations": in_flight.collect::<Vec<_>>(),
        "inFlight": list.all_in_flight,
        "failed": failed.collect::<Vec<_>>(),
        "passes": list.jobs.iter().map(job).collect::<Vec<_>>(),
    })
}

/// Returns an operation, or the reason why it cannot be read.
pub(in crate::commands) fn in_flight(operation: &Readable<HeldOperation>) -> Value {
    operation.as_ref().map_or_else(unreadable, held)
}

pub(super) fn unreadable(row: &Unreadable) -> Value {
    json!({ "townId": row.town, "unreadable": row.which })
}

/// Returns an operation with the worker that holds it.
fn held(held: &HeldOperation) -> Value {
    let mut value = operation(&held.operation);
    value["userId"] = json!(held.owner);
    value["heldBy"] = json!(held.held_by.as_ref().map(|worker| &worker.0));
    value["leaseExpiresAt"] = moment(held.lease_expires_at);
    value
}

/// Returns an operation.
pub(in crate::commands) fn operation(operation: &RecordedOperation) -> Value {
    json!({
        "operationId": operation.id,
        "townId": operation.town,
        "kind": operation.kind.as_str(),
        "mark": operation.phase.as_str(),
        "step": operation.step.as_ref().map(Recorded::as_str),
        "attempt": operation.attempt,
        "attention": needs_attention(operation),
        "lastError": operation.last_error.as_ref().map(failure),
        "cause": operation.cause.as_ref().map(failure),
        "queuedMs": operation.progress.queued_ms,
        "requestedBy": operation.requested_by,
        "nextAttemptAt": moment(Some(operation.next_attempt_at)),
        "deadlineAt": moment(operation.deadline_at),
        "startedAt": moment(Some(operation.created_at)),
        "updatedAt": moment(Some(operation.updated_at)),
    })
}

/// Returns a recorded orphan.
fn orphan(orphan: &Orphan) -> Value {
    json!({
        "app": orphan.app,
        "kind": orphan.resource.kind(),
        "id": orphan.resource.id(),
        "name": orphan.name,
        "reason": orphan.reason.as_str(),
        "firstSeenAt": moment(Some(orphan.first_seen_at)),
        "lastSeenAt": moment(Some(orphan.last_seen_at)),
        "timesSeen": orphan.times_seen,
        "deletionAskedAt": moment(orphan.deletion_asked_at),
    })
}

/// Returns all orphans, and the outcome of the deletions.
pub(in crate::commands) fn survey(survey: &Survey, deletions: &[Deletion<'_>]) -> Value {
    json!({
        "apps": survey.apps,
        "failedApps": survey.failed,
        "seen": survey.seen,
        "alarm": survey.alarm.map(Alarm::as_str),
        "orphans": survey.orphans.iter().map(found).collect::<Vec<_>>(),
        "unseen": survey.unseen.iter().map(orphan).collect::<Vec<_>>(),
        "removals": deletions.iter().map(deletion).collect::<Vec<_>>(),
    })
}

fn found(found: &FoundOrphan) -> Value {
    let (ObservedOrphan { app, item, reason }, entry) = (&found.sighting, found.entry.as_ref());
    json!({
        "app": app,
        "kind": item.resource.kind(),
        "id": item.resource.id(),
        "name": item.name,
        "reason": reason.as_str(),
        "madeAt": moment(item.made_at),
        "heldBy": item.held_by,
        "firstSeenAt": moment(entry.map(|entry| entry.first_seen_at)),
        "timesSeen": entry.map_or(0, |entry| entry.times_seen),
        "deletionAskedAt": moment(entry.and_then(|entry| entry.deletion_asked_at)),
        "verdict": verdict(&found.verdict),
    })
}

fn deletion(deletion: &Deletion<'_>) -> Value {
    let resource = &deletion.orphan.sighting.item.resource;
    let (outcome, why) = match &deletion.result {
        Ok(Removal::Requested) => ("asked", Value::Null),
        Ok(Removal::Gone) => ("gone", Value::Null),
        Ok(Removal::Kept(kept)) => ("kept", verdict(kept)),
        Err(error) => ("failed", json!({ "code": "error", "message": error })),
    };
    json!({ "kind": resource.kind(), "id": resource.id(), "outcome": outcome, "why": why })
}

fn verdict(verdict: &Verdict) -> Value {
    let code = match verdict {
        Verdict::Deletable => "deletable",
        Verdict::NeedsOperator => "needs_word",
        Verdict::MayHoldData => "may_hold_data",
        Verdict::Destroying => "leaving",
        Verdict::HeldBy(_) => "held_by",
        Verdict::ListNotWhole => "list_not_whole",
        Verdict::SeenTooShort { .. } => "seen_too_short",
        Verdict::SeenTooSeldom { .. } => "seen_too_seldom",
        Verdict::TooYoung { .. } => "too_young",
        Verdict::AccountedFor => "accounted_for",
        Verdict::InUse => "in_use",
    };
    json!({ "code": code, "message": verdict.to_string() })
}

pub(in crate::commands) fn town(town: &Town) -> Value {
    json!({
        "townId": town.id,
        "userId": town.owner,
        "townName": town.name,
        "status": town.status.as_str(),
        "sandboxId": town.sandbox_id.as_str(),
        "flyMachineId": town.machine_id,
        "flyVolumeId": town.volume_id,
        "flyRegion": town.region,
        "createdAt": moment(Some(town.created_at)),
        "destroyedAt": moment(town.destroyed_at),
        "lastHeartbeatAt": moment(town.last_heartbeat_at),
        "lastR2SyncAt": moment(town.last_r2_sync_at),
    })
}

pub(in crate::commands) fn rig(rig: &Rig) -> Value {
    json!({
        "rigId": rig.id,
        "rigName": rig.name,
        "repoUrl": rig.repo,
        "branch": rig.branch,
        "status": rig.status.as_str(),
        "createdAt": moment(Some(rig.created_at)),
    })
}

pub(super) fn health(health: &TownHealth) -> Value {
    let suspicion =
        health.suspicion.map(|suspicion| json!({ "code": suspicion.drift.as_str(), "looks": suspicion.looks }));
    json!({
        "state": health.state.as_str(),
        "since": moment(health.since),
        "reason": health.reason.as_ref().map(Recorded::as_str),
        "failures": health.failures,
        "restarts": health.restarts,
        "lastReportAt": moment(health.last_report_at),
        "report": report(&health.report),
        "tokenExpiresAt": moment(health.token_expires_at),
        "checkedAt": moment(health.checked_at),
        "suspicion": suspicion,
        "refusedRigs": health.refused_rigs,
        "drift": health.drift.as_ref().map(|(found, since)| drift(found, *since)),
    })
}

fn report(report: &SandboxReport) -> Value {
    json!({
        "gtRunning": report.gt_running,
        "doltRunning": report.dolt_running,
        "activePolecats": report.active_polecats,
        "diskUsedBytes": report.disk_used_bytes,
    })
}

fn drift(drift: &Recorded<Drift>, since: DateTime<Utc>) -> Value {
    json!({ "code": drift.as_str(), "message": drift.message(), "since": moment(Some(since)) })
}

pub(super) fn event(event: &TownEvent) -> Value {
    json!({
        "at": moment(Some(event.at)),
        "actor": event.actor,
        "action": event.action,
        "outcome": event.outcome,
        "error": event.error,
        "message": event.error.as_deref().map(|code| message_of(&Recorded::read(code))),
        "lastStep": event.last_step,
        "operationId": event.operation,
    })
}

fn job(state: &JobState) -> Value {
    json!({
        "pass": state.job.as_str(),
        "endedAt": moment(state.ended_at),
        "alarm": state.alarm.as_ref().map(Recorded::as_str),
    })
}

fn failure(failure: &Recorded<Failure>) -> Value {
    json!({ "code": failure.as_str(), "message": message_of(failure) })
}

fn message_of(failure: &Recorded<Failure>) -> &'static str {
    failure.known().unwrap_or(Failure::Unrecognized).message()
}

fn moment(at: Option<DateTime<Utc>>) -> Value {
    json!(at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)))
}
