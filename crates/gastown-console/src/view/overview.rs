//! The overview: alarms, counts, operations in flight, queues, the plot, and live events.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{AuditedEvent, HeldOperation, JobState, Readable, RegistryFigures};
use maud::{Markup, html};

use super::operations::in_flight;
use super::texts::{event_heads, event_row};
use crate::notices::{Severity, notices};
use crate::plot;
use crate::sources::Queue;

/// The values of the overview.
pub(crate) struct Overview {
    /// False if the database does not answer the check of readiness.
    pub(crate) is_ready: bool,
    pub(crate) figures: Arc<RegistryFigures>,
    pub(crate) jobs: Vec<JobState>,
    /// The first operations in flight.
    pub(crate) operations: Vec<Readable<HeldOperation>>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) limits: Vec<(String, String)>,
    pub(crate) plot: Arc<Vec<plot::Bucket>>,
    pub(crate) events: Vec<AuditedEvent>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) alert_attempts: u32,
}

pub(crate) fn overview(shown: &Overview) -> Markup {
    html! {
        h1 { "Overview" }
        div data-fresh {
            (alarms(shown))
            (counts(&shown.figures))
            h2 { "Operations of the last " (plot::HOURS) " hours" }
            p.quiet { "The dot is the median duration of ten minutes, the line reaches to the longest. Red bars are failures." }
            (plot::svg(&shown.plot, shown.now))
            h2 { "Operations in flight" }
            (in_flight(&shown.operations, shown.alert_attempts))
            (queues(&shown.queues))
            (limits(&shown.limits))
        }
        h2 { "Latest events" }
        table {
            thead { (event_heads()) }
            tbody data-live { @for event in &shown.events { (event_row(event)) } }
        }
    }
}

fn alarms(shown: &Overview) -> Markup {
    let notices = notices(&shown.figures, &shown.jobs);
    html! {
        ul.notices aria-label="Alarms" {
            @if !shown.is_ready { li.alarm { "The database does not answer the check of readiness (/readyz)." } }
            @for notice in &notices {
                li class=(notice.severity.as_str()) {
                    @if notice.severity == Severity::Alarm { strong { "Alarm: " } }
                    a href=(notice.page) { (notice.text) }
                }
            }
            @if shown.is_ready && notices.is_empty() { li.well { "Nothing needs attention." } }
        }
    }
}

fn counts(figures: &RegistryFigures) -> Markup {
    html! {
        h2 { "Live towns by status" }
        ul.figures {
            @for (status, number) in &figures.towns {
                @let name = status.map_or("of a newer version", |status| status.as_str());
                (figure(name, *number, &format!("/console/towns?status={}", status.map_or("", |status| status.as_str()))))
            }
            @if figures.towns.is_empty() { (figure("towns", 0, "/console/towns")) }
        }
        h2 { "Running towns by health" }
        ul.figures {
            @for (state, number) in &figures.health {
                (figure(state.map_or("of a newer version", |state| state.as_str()), *number, "/console/towns?status=running"))
            }
            @for (drift, number) in &figures.drifted {
                (figure(drift.map_or("other drift", |drift| drift.as_str()), *number, "/console/towns?health=drift"))
            }
            @if figures.health.is_empty() && figures.drifted.is_empty() { (figure("checked", 0, "/console/towns")) }
        }
        h2 { "Work" }
        ul.figures {
            @for (kind, number) in &figures.operations {
                (figure(kind.map_or("of a newer version", |kind| kind.as_str()), *number, "/console/operations"))
            }
            (figure("due and waiting", figures.due, "/console/operations"))
            (figure("keep failing", figures.stuck, "/console/operations"))
            (figure("orphans", figures.orphans, "/console/orphans"))
        }
    }
}

fn figure(name: &str, number: u64, page: &str) -> Markup {
    html! { li class=[(number == 0).then_some("zero")] { a href=(page) { b { (number) } (name) } } }
}

fn queues(queues: &[Queue]) -> Markup {
    html! {
        h2 { "Queues for the provider's rate limits, in this process" }
        @if queues.is_empty() {
            p.quiet { "No call waits." }
        } @else {
            table {
                thead { tr { th { "call" } th { "counted against" } th { "waiting" } th { "background" } th { "oldest" } th { "last waits" } } }
                tbody {
                    @for queue in queues {
                        tr {
                            td { (queue.call) } td.code { (queue.subject) } td { (queue.waiting) } td { (queue.behind) }
                            td { (seconds(queue.waited)) } td { (seconds(queue.remaining)) }
                        }
                    }
                }
            }
        }
    }
}

fn limits(limits: &[(String, String)]) -> Markup {
    html! {
        details {
            summary { "Rate limits of calls to the provider" }
            dl { @for (call, limit) in limits { dt { (call) } dd { (limit) } } }
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
