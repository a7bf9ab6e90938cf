//! The values as tables. Times are UTC.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use gastown_domain::ports::{
    Alarm, HeldOperation, JobState, ObservedOrphan, Orphan, Readable, TownDetails, TownEvent, Unreadable, WorkerId,
};
use gastown_domain::{Failure, Operation, Recorded, Rig};
use gastown_orchestrator::{FoundOrphan, Removal, Survey};

use super::needs_attention;
use crate::commands::orphans::Attempt;

/// Everything that is known of a town.
pub(in crate::commands) fn town_details(town_details: &TownDetails) -> String {
    let town = &town_details.town;
    let mut text = format!("Town {} of {}: {}\n\n{}", town.name, town.owner, town.status, town_facts(town_details));
    let in_flight = |operation: &Readable<HeldOperation>| operation.as_ref().map_or_else(unreadable, operation_facts);
    section(&mut text, "In flight", town_details.operation.as_ref().map(in_flight));
    section(&mut text, "Rigs", some(&town_details.rigs, rigs));
    section(&mut text, "At Fly, and no row accounts for it", some(&town_details.orphans, orphans));
    section(&mut text, "What happened last", some(&town_details.events, events));
    let others = |rows: &[Unreadable]| rows.iter().map(unreadable).collect::<Vec<_>>().join("\n");
    section(&mut text, "Left out", some(&town_details.unreadable, others));
    text
}

/// What is in flight, and how the passes stand.
pub(in crate::commands) fn operations(operations: &[Readable<HeldOperation>], passes: &[JobState]) -> String {
    let mut text = match some(operations, operation_rows) {
        Some(rows) => rows,
        None => "Nothing is in flight.".to_owned(),
    };
    if operations.iter().flatten().any(|held| needs_attention(&held.operation)) {
        text +=
            "\n\n! failed many times in a row and goes on slowly: see `gastown town show`, then `gastown town retry`";
    }
    if operations.iter().any(Result::is_err) {
        text += "\n\n? cannot be read: mend its row, or `gastown town destroy` its town";
    }
    section(&mut text, "SingletonJobs", some(passes, pass_rows));
    text
}

/// Everything that no row accounts for.
pub(in crate::commands) fn survey(survey: &Survey) -> String {
    let mut text = match some(&survey.orphans, found) {
        Some(found) => found,
        None => "Every machine and volume of ours belongs to a row.".to_owned(),
    };
    section(&mut text, "In the book, and not seen this time", some(&survey.unseen, orphans));
    let _ = write!(text, "\n\nLooked through {} app(s): {} machines and volumes of ours.", survey.apps, survey.seen);
    if !survey.failed.is_empty() {
        let failed: Vec<_> = survey.failed.iter().map(ToString::to_string).collect();
        let _ = write!(text, " Could not be looked through: {}.", failed.join(", "));
    }
    if let Some(alarm) = survey.alarm {
        let _ = write!(text, "\n\n! {}: {}", alarm.as_str(), meaning(alarm));
    }
    text
}

/// What became of those that were to be deleted.
pub(in crate::commands) fn attempts(attempts: &[Attempt<'_>]) -> String {
    let line = |attempt: &Attempt<'_>| {
        let thing = &attempt.orphan.sighting.item.resource;
        match &attempt.result {
            Ok(Removal::Requested) => format!("{thing}: its deletion was asked for"),
            Ok(Removal::Gone) => format!("{thing}: was gone already"),
            Ok(Removal::Kept(verdict)) => format!("{thing}: kept, {verdict}"),
            Err(error) => format!("{thing}: {}", plain(error)),
        }
    };
    match attempts {
        [] => "\nNothing may be deleted now.".to_owned(),
        attempts => format!("\n{}", attempts.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

fn found(orphans: &[FoundOrphan]) -> String {
    let mut table = headed(["what", "id", "name", "app", "why", "made", "first seen", "seen", "verdict"]);
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
    let mut table = headed(["what", "id", "name", "app", "why", "first seen", "last seen", "seen", "deletion asked"]);
    for orphan in orphans {
        table.add_row([
            orphan.resource.kind().to_owned(),
            orphan.resource.id().to_owned(),
            plain(&orphan.name),
            orphan.app.to_string(),
            orphan.reason.as_str().to_owned(),
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
            fact("compared with Fly", maybe_time(health.checked_at));
            if let Some(suspicion) = health.suspicion {
                fact("suspected", format!("{}, by {} looks", suspicion.drift.as_str(), suspicion.looks));
            }
            if let Some((drift, since)) = health.drift {
                fact("drift", format!("{} since {}: {}", drift.as_str(), time(since), drift.message()));
            }
        }
        Err(row) => fact("health", unreadable(row)),
    }
    facts.trim_fmt()
}

fn unreadable(row: &Unreadable) -> String {
    format!("cannot be read: {}", plain(&row.which))
}

fn operation_facts(held: &HeldOperation) -> String {
    let operation = &held.operation;
    let mut facts = facts();
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("kind", operation.kind.to_string());
    fact("id", operation.id.to_string());
    fact(
        "step",
        format!("{}, {}", operation.step.as_ref().map_or("not begun", Recorded::as_str), operation.phase.as_str()),
    );
    fact("attempt", format!("{}{}", operation.attempt, if needs_attention(operation) { " (!)" } else { "" }));
    fact("last error", operation.last_error.as_ref().map_or_else(none, failure));
    fact("held up by Fly's limits", queued(operation).unwrap_or_else(|| "not at all".to_owned()));
    if let Some(cause) = &operation.cause {
        fact("undone because", failure(cause));
    }
    fact("requested by", operation.requested_by.to_string());
    fact("held by", held.held_by.as_ref().map_or_else(none, |worker| plain(&worker.0)));
    fact("lease until", maybe_time(held.lease_expires_at));
    fact("next attempt", time(operation.next_attempt_at));
    if let Some(deadline) = operation.deadline_at {
        fact("deadline", time(deadline));
    }
    fact("since", time(operation.created_at));
    facts.trim_fmt()
}

fn operation_rows(operations: &[Readable<HeldOperation>]) -> String {
    let heads = ["", "town", "user", "kind", "step", "attempt", "last error", "held by", "next attempt", "since"];
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
            operation.kind.to_string(),
            operation.step.as_ref().map_or_else(none, |step| step.to_string()),
            operation.attempt.to_string(),
            waiting_for(operation),
            held.held_by.as_ref().map_or_else(none, beginning),
            time(operation.next_attempt_at),
            time(operation.created_at),
        ]);
    }
    table.trim_fmt()
}

/// Why an operation is not further: its last error, and how long Fly's limits have held it up.
fn waiting_for(operation: &Operation) -> String {
    let error = operation.last_error.as_ref().map(|error| error.to_string());
    let queued = queued(operation).map(|queued| format!("queued {queued}"));
    let told: Vec<_> = error.into_iter().chain(queued).collect();
    if told.is_empty() { none() } else { told.join(", ") }
}

/// In whole seconds; `None` where it is less than one.
fn queued(operation: &Operation) -> Option<String> {
    let seconds = operation.progress.queued_ms / 1000;
    (seconds > 0).then(|| format!("{} min {:02} s", seconds / 60, seconds % 60))
}

fn rigs(rigs: &[Rig]) -> String {
    let mut table = headed(["name", "status", "repository", "branch", "created"]);
    for rig in rigs {
        let (name, repo, branch) = (rig.name.to_string(), rig.repo.to_string(), rig.branch.to_string());
        table.add_row([name, rig.status.as_str().to_owned(), repo, branch, time(rig.created_at)]);
    }
    table.trim_fmt()
}

fn events(events: &[TownEvent]) -> String {
    let mut table = headed(["when", "who", "what", "outcome", "error"]);
    for event in events {
        let error = event.error.as_deref().map_or_else(none, plain);
        table.add_row([time(event.at), plain(&event.actor), plain(&event.action), plain(&event.outcome), error]);
    }
    table.trim_fmt()
}

fn pass_rows(passes: &[JobState]) -> String {
    let mut table = headed(["pass", "last ended", "alarm"]);
    for state in passes {
        let alarm = state.alarm.map_or_else(none, |alarm| format!("{}: {}", alarm.as_str(), meaning(alarm)));
        table.add_row([state.job.as_str().to_owned(), maybe_time(state.ended_at), alarm]);
    }
    table.trim_fmt()
}

/// What an operator should think of first.
const fn meaning(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::ManyAbsent => {
            "so many machines or volumes read as absent that none of it is believed; is it the right app and token?"
        }
        Alarm::ManyOrphans => {
            "so much at Fly belongs to no row that nothing is deleted; is it the right database, and up to date?"
        }
        Alarm::Refused => "Fly refuses everything that is asked; is it the right token, organization and app?",
    }
}

fn section(text: &mut String, title: &str, content: Option<String>) {
    if let Some(content) = content {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n\n{title}\n\n{content}");
    }
}

fn some<T>(values: &[T], shown: impl FnOnce(&[T]) -> String) -> Option<String> {
    (!values.is_empty()).then(|| shown(values))
}

fn headed<const N: usize>(heads: [&str; N]) -> Table {
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
    format!("{failure}: {}", failure.known().unwrap_or(Failure::Unrecognized).message())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn maybe_time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(none, time)
}

fn or_none<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(none, ToString::to_string)
}

fn none() -> String {
    "-".to_owned()
}

/// Enough of a process's name to tell it from others'.
fn beginning(worker: &WorkerId) -> String {
    plain(&worker.0.chars().take(8).collect::<String>())
}

/// What others wrote moves no cursor.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
