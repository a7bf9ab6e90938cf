//! Table output. Times are UTC.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use gastown_domain::ports::{
    Alarm, HeldOperation, JobState, ObservedOrphan, Orphan, Readable, TownDetails, TownEvent, TownHealth, Unreadable,
    WorkerId,
};
use gastown_domain::{Failure, Recorded, RecordedOperation, Rig};
use gastown_orchestrator::{FoundOrphan, Removal, Survey};

use super::table_lists::{cause, event_rows, step};
use super::{OperationsList, needs_attention};
use crate::commands::deletion::Deletion;

/// Returns everything about a town.
pub(in crate::commands) fn town_details(town_details: &TownDetails) -> String {
    let town = &town_details.town;
    let mut text = format!("Town {} of {}: {}\n\n{}", town.name, town.owner, town.status, town_facts(town_details));
    let in_flight = |operation: &Readable<HeldOperation>| operation.as_ref().map_or_else(unreadable, operation_facts);
    section(&mut text, "In flight", town_details.operation.as_ref().map(in_flight));
    section(&mut text, "Rigs", some(&town_details.rigs, rigs));
    section(&mut text, "Orphans", some(&town_details.orphans, orphans));
    section(&mut text, "Last events", some(&town_details.events, events));
    let others = |rows: &[Unreadable]| rows.iter().map(unreadable).collect::<Vec<_>>().join("\n");
    section(&mut text, "Unreadable", some(&town_details.unreadable, others));
    text
}

/// Returns the operations in flight, those that failed, and the state of the periodic jobs.
pub(in crate::commands) fn operations(list: &OperationsList) -> String {
    let mut text = String::new();
    if let Some(operations) = &list.in_flight {
        text += &in_flight(operations, list);
    }
    match &list.failed {
        Some((failed, since)) if list.in_flight.is_none() && failed.is_empty() => {
            let _ = write!(text, "No operation has failed since {since}.");
        }
        Some((failed, since)) => section(&mut text, &format!("Failed since {since}"), some(failed, event_rows)),
        None => {}
    }
    section(&mut text, "Periodic jobs", some(&list.jobs, job_rows));
    text.trim_start().to_owned()
}

fn in_flight(operations: &[Readable<HeldOperation>], list: &OperationsList) -> String {
    let mut text = match some(operations, operation_rows) {
        Some(rows) => rows,
        None if list.only_attention => {
            format!("No operation needs attention. Operations in flight: {}.", list.all_in_flight)
        }
        None => "No operations in flight.".to_owned(),
    };
    if operations.iter().flatten().any(|held| needs_attention(&held.operation)) {
        text += "\n\n! failed many times in a row and is retried slowly: see `gastown town show`, then `gastown town retry`";
    }
    if operations.iter().any(Result::is_err) {
        text += "\n\n? cannot be read: repair its row, or run `gastown town destroy`";
    }
    section(&mut text, "Last errors", causes(operations));
    text
}

/// Returns the meaning of each last error in a list.
fn causes(operations: &[Readable<HeldOperation>]) -> Option<String> {
    let mut causes: Vec<_> =
        operations.iter().flatten().filter_map(|held| held.operation.last_error.as_ref()).map(failure).collect();
    causes.sort_unstable();
    causes.dedup();
    (!causes.is_empty()).then(|| causes.join("\n"))
}

/// Returns all orphans.
pub(in crate::commands) fn survey(survey: &Survey) -> String {
    let mut text = match some(&survey.orphans, found) {
        Some(found) => found,
        None => "No orphans.".to_owned(),
    };
    section(&mut text, "Recorded, but not found this time", some(&survey.unseen, orphans));
    let _ = write!(text, "\n\nChecked {} app(s): {} machines and volumes of ours.", survey.apps, survey.seen);
    if !survey.failed.is_empty() {
        let failed: Vec<_> = survey.failed.iter().map(ToString::to_string).collect();
        let _ = write!(text, " Failed to check: {}.", failed.join(", "));
    }
    if let Some(alarm) = survey.alarm {
        let _ = write!(text, "\n\n! {}: {}", alarm.as_str(), alarm.message());
    }
    text
}

/// Returns the outcome of the deletions.
pub(in crate::commands) fn deletions(deletions: &[Deletion<'_>]) -> String {
    let line = |deletion: &Deletion<'_>| {
        let resource = &deletion.orphan.sighting.item.resource;
        match &deletion.result {
            Ok(Removal::Requested) => format!("{resource}: deletion requested"),
            Ok(Removal::Gone) => format!("{resource}: already deleted"),
            Ok(Removal::Kept(verdict)) => format!("{resource}: kept, {verdict}"),
            Err(error) => format!("{resource}: {}", plain(error)),
        }
    };
    match deletions {
        [] => "\nNo orphan may be deleted now.".to_owned(),
        deletions => format!("\n{}", deletions.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

fn found(orphans: &[FoundOrphan]) -> String {
    let mut table = headed(["kind", "id", "name", "app", "reason", "created", "first seen", "times seen", "verdict"]);
    for orphan in orphans {
        let (ObservedOrphan { app, item, reason }, entry) = (&orphan.sighting, orphan.entry.as_ref());
        table.add_row([
            item.resource.kind().to_owned(),
            item.resource.id().to_owned(),
            plain(&item.name),
            app.to_string(),
            reason.as_str().to_owned(),
            maybe_time(item.made_at),
            maybe_time(entry.map(|entry| entry.first_seen_at)),
            entry.map_or(0, |entry| entry.times_seen).to_string(),
            orphan.verdict.to_string(),
        ]);
    }
    table.trim_fmt()
}

fn orphans(orphans: &[Orphan]) -> String {
    let mut table =
        headed(["kind", "id", "name", "app", "reason", "first seen", "last seen", "times seen", "deletion requested"]);
    for orphan in orphans {
        table.add_row([
            orphan.resource.kind().to_owned(),
            orphan.resource.id().to_owned(),
            plain(&orphan.name),
            orphan.app.to_string(),
            plain(orphan.reason.as_str()),
            time(orphan.first_seen_at),
            time(orphan.last_seen_at),
            orphan.times_seen.to_string(),
            maybe_time(orphan.deletion_asked_at),
        ]);
    }
    table.trim_fmt()
}

fn town_facts(town_details: &TownDetails) -> String {
    let town = &town_details.town;
    let mut facts = facts();
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("id", town.id.to_string());
    fact("sandbox id", town.sandbox_id.to_string());
    fact("region", or_none(town.region.as_ref()));
    fact("machine", or_none(town.machine_id.as_ref()));
    fact("volume", or_none(town.volume_id.as_ref()));
    fact("created", time(town.created_at));
    fact("destroyed", maybe_time(town.destroyed_at));
    fact("last heartbeat", maybe_time(town.last_heartbeat_at));
    fact("last sync to R2", maybe_time(town.last_r2_sync_at));
    match &town_details.health {
        Ok(health) => {
            fact("health", state_of(health));
            // A town that could not be read at Fly has this time too.
            fact("drift check begun", maybe_time(health.checked_at));
            if let Some(suspicion) = health.suspicion {
                fact(
                    "unconfirmed drift",
                    format!("{}, {} agreeing observations", suspicion.drift.as_str(), suspicion.looks),
                );
            }
            if let Some((drift, since)) = &health.drift {
                fact("drift", format!("{} since {}: {}", plain(drift.as_str()), time(*since), drift.message()));
            }
        }
        Err(row) => fact("health", unreadable(row)),
    }
    facts.trim_fmt()
}

pub(super) fn unreadable(row: &Unreadable) -> String {
    format!("cannot be read: {}", plain(&row.which))
}

fn operation_facts(held: &HeldOperation) -> String {
    let operation = &held.operation;
    let mut facts = facts();
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("kind", plain(operation.kind.as_str()));
    fact("id", operation.id.to_string());
    let step = operation.step.as_ref().map_or("not started", Recorded::as_str);
    fact("step", format!("{}, {}", plain(step), plain(operation.phase.as_str())));
    fact("attempt", format!("{}{}", operation.attempt, if needs_attention(operation) { " (!)" } else { "" }));
    fact("last error", operation.last_error.as_ref().map_or_else(none, failure));
    fact("queued for Fly's limits", queued(operation).unwrap_or_else(none));
    if let Some(cause) = &operation.cause {
        fact("rolled back because", failure(cause));
    }
    fact("requested by", operation.requested_by.to_string());
    fact("held by", held.held_by.as_ref().map_or_else(none, |worker| plain(&worker.0)));
    fact("lease until", maybe_time(held.lease_expires_at));
    fact("next attempt", time(operation.next_attempt_at));
    if let Some(deadline) = operation.deadline_at {
        fact("deadline", time(deadline));
    }
    fact("started", time(operation.created_at));
    facts.trim_fmt()
}

fn operation_rows(operations: &[Readable<HeldOperation>]) -> String {
    let heads = ["", "town", "user", "kind", "step", "attempt", "last error", "held by", "next attempt", "started"];
    let mut table = headed(heads);
    for held in operations {
        let held = match held {
            Ok(held) => held,
            Err(row) => {
                table.add_row(["?".to_owned(), row.town.to_string(), none(), none(), unreadable(row)]);
                continue;
            }
        };
        let operation = &held.operation;
        table.add_row([
            if needs_attention(operation) { "!" } else { "" }.to_owned(),
            operation.town.to_string(),
            held.owner.to_string(),
            plain(operation.kind.as_str()),
            operation.step.as_ref().map_or_else(none, |step| plain(step.as_str())),
            operation.attempt.to_string(),
            delays(operation),
            held.held_by.as_ref().map_or_else(none, short_id),
            time(operation.next_attempt_at),
            time(operation.created_at),
        ]);
    }
    table.trim_fmt()
}

/// Returns the last error of an operation, and its time in queues for Fly's limits.
fn delays(operation: &RecordedOperation) -> String {
    let error = operation.last_error.as_ref().map(|error| plain(error.as_str()));
    let queued = queued(operation).map(|queued| format!("queued {queued}"));
    let delays: Vec<_> = error.into_iter().chain(queued).collect();
    if delays.is_empty() { none() } else { delays.join(", ") }
}

/// Returns the time in queues in whole seconds, or `None` below one second.
fn queued(operation: &RecordedOperation) -> Option<String> {
    let seconds = operation.progress.queued_ms / 1000;
    (seconds > 0).then(|| format!("{} min {:02} s", seconds / 60, seconds % 60))
}

fn rigs(rigs: &[Rig]) -> String {
    let mut table = headed(["name", "status", "repository", "branch", "created"]);
    for rig in rigs {
        let (name, repo, branch) =
            (rig.name.to_string(), rig.repo.to_string(), rig.branch.as_ref().map_or_else(none, ToString::to_string));
        table.add_row([name, rig.status.as_str().to_owned(), repo, branch, time(rig.created_at)]);
    }
    table.trim_fmt()
}

fn events(events: &[TownEvent]) -> String {
    let mut table = headed(["time", "actor", "action", "outcome", "at step", "cause"]);
    for event in events {
        let (actor, action, outcome) = (plain(&event.actor), plain(&event.action), plain(&event.outcome));
        table.add_row([time(event.at), actor, action, outcome, step(event), cause(event)]);
    }
    table.trim_fmt()
}

fn job_rows(jobs: &[JobState]) -> String {
    let mut table = headed(["job", "last ended", "alarm"]);
    for state in jobs {
        let alarm = state.alarm.as_ref().map_or_else(none, alarm);
        table.add_row([state.job.as_str().to_owned(), maybe_time(state.ended_at), alarm]);
    }
    table.trim_fmt()
}

/// Returns the code of an alarm, with its likely cause if this version knows it.
fn alarm(alarm: &Recorded<Alarm>) -> String {
    match alarm {
        Recorded::Known(known) => format!("{}: {}", known.as_str(), known.message()),
        Recorded::Newer(code) => plain(code),
    }
}

fn section(text: &mut String, title: &str, content: Option<String>) {
    if let Some(content) = content {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n\n{title}\n\n{content}");
    }
}

pub(super) fn some<T>(values: &[T], shown: impl FnOnce(&[T]) -> String) -> Option<String> {
    (!values.is_empty()).then(|| shown(values))
}

pub(in crate::commands) fn headed<const N: usize>(heads: [&str; N]) -> Table {
    headed_by(heads)
}

pub(super) fn headed_by<'a>(heads: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heads);
    table
}

fn facts() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn failure(failure: &Recorded<Failure>) -> String {
    format!("{}: {}", plain(failure.as_str()), failure.known().unwrap_or(Failure::Unrecognized).message())
}

pub(in crate::commands) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn maybe_time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(none, time)
}

pub(in crate::commands) fn or_none<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(none, ToString::to_string)
}

pub(in crate::commands) fn none() -> String {
    "-".to_owned()
}

/// Returns the first characters of a worker's id, enough to identify it.
fn short_id(worker: &WorkerId) -> String {
    plain(&worker.0.chars().take(8).collect::<String>())
}

/// Replaces control characters, so that foreign text cannot control the terminal.
pub(in crate::commands) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Returns the state of the health, its age and its reason.
fn state_of(health: &TownHealth) -> String {
    let since = health.since.map(|since| format!(" since {}", time(since))).unwrap_or_default();
    let reason = health.reason.as_ref().map(|reason| format!(": {}", reason.message())).unwrap_or_default();
    format!("{}{since}{reason}", plain(health.state.as_str()))
}
