//! The operations in flight with their steps, those that failed, and the periodic jobs.

use gastown_domain::Recorded;
use gastown_domain::ports::{AuditedEvent, HeldOperation, JobState, Readable};
use maud::{Markup, html};

use super::texts::{delays, event_heads, event_row, link_to_town, maybe_time, none, or_none, steps, time, unreadable};

/// Returns the page. `most` is the limit of both lists.
pub(crate) fn operations(
    held: &[Readable<HeldOperation>],
    failed: &[AuditedEvent],
    jobs: &[JobState],
    (most, alert_attempts): (u32, u32),
) -> Markup {
    let is_cut = |length: usize| length >= most as usize;
    html! {
        h1 { "Operations" }
        div data-fresh {
            h2 { "In flight" }
            (in_flight(held, alert_attempts))
            @if is_cut(held.len()) { p.quiet { "Only the " (most) " with the most failed attempts are shown." } }
            h2 { "Failed in the last 24 hours" }
            @if failed.is_empty() { p.quiet { "No operation has failed." } } @else {
                table { thead { (event_heads()) } tbody { @for event in failed { (event_row(event)) } } }
            }
            @if is_cut(failed.len()) { p.quiet { "Only the newest " (most) " are shown." } }
            h2 { "Periodic jobs" }
            table {
                thead { tr { th { "job" } th { "last ended" } th { "alarm" } } }
                tbody { @for job in jobs { (job_row(job)) } }
            }
        }
    }
}

/// Returns the table of operations in flight.
pub(super) fn in_flight(held: &[Readable<HeldOperation>], alert_attempts: u32) -> Markup {
    html! {
        @if held.is_empty() { p.quiet { "No operation is in flight." } } @else {
            table {
                thead { tr { th { "town" } th { "user" } th { "operation" } th { "steps" } th { "delays" } th { "held by" } th { "next attempt" } th { "started" } } }
                tbody { @for held in held { (operation_row(held, alert_attempts)) } }
            }
        }
    }
}

fn operation_row(held: &Readable<HeldOperation>, alert_attempts: u32) -> Markup {
    let held = match held {
        Ok(held) => held,
        Err(row) => {
            let town = link_to_town(row.town, &row.town.to_string());
            return html! { tr { td.code { (town) } td colspan="7" { (unreadable(&row.which)) } } };
        }
    };
    let operation = &held.operation;
    let worker: Option<String> = held.held_by.as_ref().map(|worker| worker.0.chars().take(8).collect());
    html! {
        tr {
            td { (link_to_town(operation.town, &held.name)) }
            td { (held.owner) }
            td { (operation.kind.as_str()) }
            td { (steps(held)) }
            td { (delays(held, alert_attempts)) }
            td.code { (or_none(worker.as_ref())) }
            td { (time(operation.next_attempt_at)) }
            td { (time(operation.created_at)) }
        }
    }
}

fn job_row(job: &JobState) -> Markup {
    html! {
        tr {
            td { (job.job.as_str()) }
            td { (maybe_time(job.ended_at)) }
            td {
                @match &job.alarm {
                    None => { (none()) }
                    Some(Recorded::Known(alarm)) => { span.bad { (alarm.as_str()) ": " (alarm.message()) } }
                    Some(Recorded::Newer(code)) => { span.bad { (code) } }
                }
            }
        }
    }
}
