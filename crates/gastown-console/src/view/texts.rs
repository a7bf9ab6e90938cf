//! The small parts of pages: times, ages, codes with their meanings.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use gastown_domain::ports::{AuditedEvent, HeldOperation, Readable, TownEvent, TownHealth};
use gastown_domain::{Failure, HealthState, Recorded, TownId, TownStatus};
use maud::{Markup, html};

/// Returns a time in UTC, for people and for programs.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    let exact = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    html! { time datetime=(exact) { (at.format("%Y-%m-%d %H:%M:%S")) } }
}

pub(super) fn maybe_time(at: Option<DateTime<Utc>>) -> Markup {
    at.map_or_else(none, time)
}

pub(super) fn none() -> Markup {
    html! { span.quiet { "–" } }
}

pub(super) fn or_none<T: ToString>(value: Option<&T>) -> Markup {
    value.map_or_else(none, |value| html! { (value.to_string()) })
}

pub(super) fn link_to_town(town: TownId, text: &str) -> Markup {
    html! { a href={ "/console/towns/" (town) } { (text) } }
}

pub(super) fn status(status: TownStatus) -> Markup {
    let class = match status {
        TownStatus::Running => "good",
        TownStatus::Provisioning => "warn",
        TownStatus::Stopped | TownStatus::Destroyed => "quiet",
    };
    html! { span class=(class) { (status.as_str()) } }
}

/// Returns the state of the health, its reason, and a change from outside.
pub(super) fn health(health: &Readable<TownHealth>) -> Markup {
    let health = match health {
        Ok(health) => health,
        Err(row) => return unreadable(&row.which),
    };
    let class = match health.state.known() {
        Some(HealthState::Healthy) => "good",
        Some(HealthState::Unknown) => "quiet",
        Some(HealthState::Unhealthy) => "warn",
        Some(HealthState::Error) | None => "bad",
    };
    html! {
        span class=(class) { (health.state.as_str()) }
        @if let Some(reason) = &health.reason { ": " (reason.message()) }
        @if let Some((drift, since)) = &health.drift {
            br;
            span.warn { (drift.as_str()) } ": " (drift.message()) " (since " (time(*since)) ")"
        }
    }
}

pub(super) fn unreadable(which: &str) -> Markup {
    html! { span.bad { "cannot be read: " (which) } }
}

/// Returns a failure's code with its meaning.
pub(super) fn failure(failure: &Recorded<Failure>) -> String {
    format!("{}: {}", failure.as_str(), failure.known().unwrap_or(Failure::Unrecognized).message())
}

/// Returns the last failed attempt of an operation, and its time in queues.
pub(super) fn delays(held: &HeldOperation, alert_attempts: u32) -> Markup {
    let operation = &held.operation;
    let queued = Duration::from_millis(operation.progress.queued_ms).as_secs();
    let class = if operation.attempt >= alert_attempts { "bad" } else { "warn" };
    html! {
        @match &operation.last_error {
            Some(error) => { span class=(class) { "attempt " (operation.attempt) " failed: " (failure(error)) } }
            None if queued == 0 => { (none()) }
            None => {}
        }
        @if queued > 0 { " queued " (queued) " s for rate limits" }
    }
}

/// Returns the steps that an operation has begun, oldest first, and the present one in words.
pub(super) fn steps(held: &HeldOperation) -> Markup {
    let operation = &held.operation;
    html! {
        (operation.step_message())
        @if !operation.progress.steps.is_empty() {
            ol.steps {
                @for step in &operation.progress.steps {
                    li { span.code { (step.step) } " " (time(step.at)) }
                }
            }
        }
    }
}

/// Returns true for the outcome of an operation that failed.
pub(crate) fn is_failure(outcome: &str) -> bool {
    matches!(outcome, "failed" | "rolled_back")
}

/// Returns the code of an event's cause with its meaning, or an empty text.
pub(crate) fn cause_of(event: &TownEvent) -> String {
    let Some(code) = &event.error else { return String::new() };
    match Recorded::<Failure>::read(code) {
        Recorded::Known(failure) => format!("{}: {}", failure.as_str(), failure.message()),
        Recorded::Newer(text) => text,
    }
}

/// Returns the head of every table of events.
pub(super) fn event_heads() -> Markup {
    html! { tr { th { "time (UTC)" } th { "town" } th { "actor" } th { "action" } th { "outcome" } th { "cause" } } }
}

pub(super) fn event_row(AuditedEvent { town, owner, name, event }: &AuditedEvent) -> Markup {
    html! {
        tr {
            td { (time(event.at)) }
            td { (link_to_town(*town, &format!("{owner}/{name}"))) }
            td { (event.actor) }
            td { (event.action) }
            td class=[is_failure(&event.outcome).then_some("bad")] { (event.outcome) }
            td { (cause_of(event)) }
        }
    }
}
