//! Table output. Times are UTC.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};

use super::table_lists::{cause, event_rows, step};
use super::{OperationsView, Since};
pub(in crate::commands) use crate::reports::plain;
use crate::reports::{
    Cause, Deletion, Event, FoundOrphan, Health, HeldOperation, Job, Moment, Operation, Orphan, Readable, Rig, Survey,
    TownReport, UnreadableRow, alarm_in_words, reason_in_words,
};

/// Returns everything about a town.
pub(in crate::commands) fn town_report(report: &TownReport) -> String {
    let (town, status) = (&report.town, plain(&report.town.status));
    let mut text = format!("Town {} of {}: {status}\n\n{}", town.town_name, town.user_id, town_facts(report));
    let in_flight =
        |operation: &Readable<HeldOperation>| operation.as_result().map_or_else(unreadable, operation_facts);
    section(&mut text, "In flight", report.operation.as_ref().map(in_flight));
    section(&mut text, "Rigs", some(&report.rigs, rigs));
    section(&mut text, "Orphans", some(&report.orphans, orphans));
    section(&mut text, "Last events", some(&report.events, events));
    let others = |rows: &[UnreadableRow]| rows.iter().map(unreadable).collect::<Vec<_>>().join("\n");
    section(&mut text, "Unreadable", some(&report.unreadable, others));
    text
}

/// Returns the operations in flight, those that failed, and the state of the periodic jobs.
pub(in crate::commands) fn operations(view: &OperationsView) -> String {
    let OperationsView { list, which, since } = view;
    let mut text = String::new();
    if which.lists_in_flight() {
        text += &in_flight(view);
    }
    if which.lists_failed() {
        text += &failed(view, *since);
    }
    section(&mut text, "Periodic jobs", some(&list.passes, job_rows));
    text.trim_start().to_owned()
}

fn failed(OperationsView { list, which, .. }: &OperationsView, since: Since) -> String {
    if !which.lists_in_flight() && list.failed.is_empty() {
        return format!("No operation has failed since {since}.");
    }
    let mut text = String::new();
    section(&mut text, &format!("Failed since {since}"), some(&list.failed, event_rows));
    text
}

fn in_flight(OperationsView { list, which, .. }: &OperationsView) -> String {
    let operations = &list.operations;
    let mut text = match some(operations, operation_rows) {
        Some(rows) => rows,
        None if which.is_attention() => {
            format!("No operation needs attention. Operations in flight: {}.", list.in_flight)
        }
        None => "No operations in flight.".to_owned(),
    };
    if operations.iter().filter_map(Readable::read).any(|held| held.operation.attention) {
        text += "\n\n! failed many times in a row and is retried slowly: see `gastown town show`, then `gastown town retry`";
    }
    if operations.iter().any(|operation| operation.read().is_none()) {
        text += "\n\n? cannot be read: repair its row, or run `gastown town destroy`";
    }
    section(&mut text, "Last errors", causes(operations));
    text
}

/// Returns the meaning of each last error in a list.
fn causes(operations: &[Readable<HeldOperation>]) -> Option<String> {
    let errors = operations.iter().filter_map(Readable::read).filter_map(|held| held.operation.last_error.as_ref());
    let mut causes: Vec<_> = errors.map(failure).collect();
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
    if !survey.failed_apps.is_empty() {
        let _ = write!(text, " Failed to check: {}.", plain(&survey.failed_apps.join(", ")));
    }
    if let Some(alarm) = &survey.alarm {
        let _ = write!(text, "\n\n! {}", plain(&alarm_in_words(alarm)));
    }
    text
}

/// Returns the outcome of the deletions.
pub(in crate::commands) fn deletions(deletions: &[Deletion]) -> String {
    let line = |deletion: &Deletion| {
        let why = deletion.why.as_ref().map(|why| plain(&why.message)).unwrap_or_default();
        let outcome = match deletion.outcome.as_str() {
            "asked" => "deletion requested".to_owned(),
            "gone" => "already deleted".to_owned(),
            "kept" => format!("kept, {why}"),
            _ => why,
        };
        format!("{} {}: {outcome}", deletion.kind, deletion.id)
    };
    match deletions {
        [] => "\nNo orphan may be deleted now.".to_owned(),
        deletions => format!("\n{}", deletions.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

fn found(orphans: &[FoundOrphan]) -> String {
    let mut table = headed(["kind", "id", "name", "app", "reason", "created", "first seen", "times seen", "verdict"]);
    for orphan in orphans {
        table.add_row([
            plain(&orphan.kind),
            plain(&orphan.id),
            plain(&orphan.name),
            plain(&orphan.app),
            plain(&orphan.reason),
            maybe_time(orphan.made_at),
            maybe_time(orphan.first_seen_at),
            orphan.times_seen.to_string(),
            plain(&orphan.verdict.message),
        ]);
    }
    table.trim_fmt()
}

fn orphans(orphans: &[Orphan]) -> String {
    let mut table =
        headed(["kind", "id", "name", "app", "reason", "first seen", "last seen", "times seen", "deletion requested"]);
    for orphan in orphans {
        table.add_row([
            plain(&orphan.kind),
            plain(&orphan.id),
            plain(&orphan.name),
            plain(&orphan.app),
            plain(&orphan.reason),
            moment(orphan.first_seen_at),
            moment(orphan.last_seen_at),
            orphan.times_seen.to_string(),
            maybe_time(orphan.deletion_asked_at),
        ]);
    }
    table.trim_fmt()
}

fn town_facts(report: &TownReport) -> String {
    let town = &report.town;
    let mut facts = facts();
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("id", town.town_id.to_string());
    fact("sandbox id", plain(&town.sandbox_id));
    fact("region", or_none(town.fly_region.as_ref()));
    fact("machine", or_none(town.fly_machine_id.as_ref()));
    fact("volume", or_none(town.fly_volume_id.as_ref()));
    fact("created", moment(town.created_at));
    fact("destroyed", maybe_time(town.destroyed_at));
    fact("last heartbeat", maybe_time(town.last_heartbeat_at));
    fact("last sync to R2", maybe_time(town.last_r2_sync_at));
    match report.health.as_result() {
        Ok(health) => {
            fact("health", state_of(health));
            fact("image", or_none(health.image.as_ref()));
            // A town that could not be read at Fly has this time too.
            fact("drift check begun", maybe_time(health.checked_at));
            fact("last compared with Fly", maybe_time(health.compared_at));
            if let Some(suspicion) = &health.suspicion {
                let text = format!("{}, {} agreeing observations", plain(&suspicion.code), suspicion.looks);
                fact("unconfirmed drift", text);
            }
            if let Some(drift) = &health.drift {
                let (code, message) = (plain(&drift.code), plain(&drift.message));
                fact("drift", format!("{code} since {}: {message}", moment(drift.since)));
            }
        }
        Err(row) => fact("health", unreadable(row)),
    }
    facts.trim_fmt()
}

pub(super) fn unreadable(row: &UnreadableRow) -> String {
    format!("cannot be read: {}", plain(&row.unreadable))
}

fn operation_facts(held: &HeldOperation) -> String {
    let operation = &held.operation;
    let mut facts = facts();
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("kind", plain(&operation.kind));
    fact("id", operation.operation_id.to_string());
    let step = operation.step.as_deref().unwrap_or("not started");
    fact("step", format!("{}, {}", plain(step), plain(&operation.mark)));
    fact("attempt", format!("{}{}", operation.attempt, if operation.attention { " (!)" } else { "" }));
    fact("last error", operation.last_error.as_ref().map_or_else(none, failure));
    fact("queued for Fly's limits", queued(operation).unwrap_or_else(none));
    if let Some(cause) = &operation.cause {
        fact("rolled back because", failure(cause));
    }
    fact("requested by", plain(&operation.requested_by));
    fact("held by", held.held_by.as_deref().map_or_else(none, plain));
    fact("lease until", maybe_time(held.lease_expires_at));
    fact("next attempt", moment(operation.next_attempt_at));
    if let Some(deadline) = operation.deadline_at {
        fact("deadline", moment(deadline));
    }
    fact("started", moment(operation.started_at));
    facts.trim_fmt()
}

fn operation_rows(operations: &[Readable<HeldOperation>]) -> String {
    let heads =
        ["", "town", "user", "name", "kind", "step", "attempt", "last error", "held by", "next attempt", "started"];
    let mut table = headed(heads);
    for held in operations {
        let held = match held.as_result() {
            Ok(held) => held,
            Err(row) => {
                table.add_row(["?".to_owned(), row.town_id.to_string(), none(), none(), none(), unreadable(row)]);
                continue;
            }
        };
        let operation = &held.operation;
        table.add_row([
            if operation.attention { "!" } else { "" }.to_owned(),
            operation.town_id.to_string(),
            held.user_id.to_string(),
            plain(&held.town_name),
            plain(&operation.kind),
            operation.step.as_deref().map_or_else(none, plain),
            operation.attempt.to_string(),
            delays(operation),
            held.held_by.as_deref().map_or_else(none, short_id),
            moment(operation.next_attempt_at),
            moment(operation.started_at),
        ]);
    }
    table.trim_fmt()
}

/// Returns the last error of an operation, and its time in queues for Fly's limits.
fn delays(operation: &Operation) -> String {
    let error = operation.last_error.as_ref().map(|error| plain(&error.code));
    let queued = queued(operation).map(|queued| format!("queued {queued}"));
    let delays: Vec<_> = error.into_iter().chain(queued).collect();
    if delays.is_empty() { none() } else { delays.join(", ") }
}

/// Returns the time in queues in whole seconds, or `None` below one second.
fn queued(operation: &Operation) -> Option<String> {
    let seconds = operation.queued_ms / 1000;
    (seconds > 0).then(|| format!("{} min {:02} s", seconds / 60, seconds % 60))
}

fn rigs(rigs: &[Rig]) -> String {
    let mut table = headed(["name", "status", "repository", "branch", "created"]);
    for rig in rigs {
        let branch = rig.branch.as_deref().map_or_else(none, plain);
        let (name, status, repo) = (plain(&rig.rig_name), plain(&rig.status), plain(&rig.repo_url));
        table.add_row([name, status, repo, branch, moment(rig.created_at)]);
    }
    table.trim_fmt()
}

fn events(events: &[Event]) -> String {
    let mut table = headed(["time", "actor", "action", "outcome", "at step", "cause"]);
    for event in events {
        let (actor, action, outcome) = (plain(&event.actor), plain(&event.action), plain(&event.outcome));
        table.add_row([moment(event.at), actor, action, outcome, step(event), cause(event)]);
    }
    table.trim_fmt()
}

fn job_rows(jobs: &[Job]) -> String {
    let mut table = headed(["job", "last ended", "alarm"]);
    for job in jobs {
        let alarm = job.alarm.as_deref().map_or_else(none, |code| plain(&alarm_in_words(code)));
        table.add_row([plain(&job.pass), maybe_time(job.ended_at), alarm]);
    }
    table.trim_fmt()
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

fn failure(failure: &Cause) -> String {
    plain(&failure.to_string())
}

pub(in crate::commands) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn moment(at: Moment) -> String {
    time(at.0)
}

fn maybe_time(at: Option<Moment>) -> String {
    at.map_or_else(none, moment)
}

pub(in crate::commands) fn or_none<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(none, ToString::to_string)
}

pub(in crate::commands) fn none() -> String {
    "-".to_owned()
}

/// Returns the first characters of a worker's id, enough to identify it.
fn short_id(worker: &str) -> String {
    plain(&worker.chars().take(8).collect::<String>())
}

/// Returns the state of the health, its age and its reason.
fn state_of(health: &Health) -> String {
    let since = health.since.map(|since| format!(" since {}", moment(since))).unwrap_or_default();
    let reason = health.reason.as_deref().map(|reason| format!(": {}", reason_in_words(reason))).unwrap_or_default();
    format!("{}{since}{reason}", plain(&health.state))
}
