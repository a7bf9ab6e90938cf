//! The newest rollout of an image: its state, its towns and its failures, and the forms to pause and resume it.

use gastown_domain::RolloutState;
use gastown_domain::ports::{FailedTouch, RolloutReport};
use maud::{Markup, html};

use super::Forms;
use super::texts::{link_to_town, maybe_time, none, or_none, time};

/// Returns the page. `forms` are shown if the console may act.
pub(crate) fn rollout(found: Option<&RolloutReport>, forms: Option<&Forms>) -> Markup {
    html! {
        h1 { "Rollout" }
        p { "A new image for the towns, at each start and in waves of restarts. " span.code { "gastown rollout" } " starts one and takes it back." }
        @if let Some(message) = forms.and_then(|forms| forms.message) { p role="status" { strong { (message) } } }
        div data-fresh {
            @match found {
                None => p.quiet { "There was no rollout." },
                Some(report) => {
                    (facts(report))
                    @if !report.failures.is_empty() { h2 { "Failed towns" } (failures(&report.failures)) }
                    h2 { "Images of all towns" }
                    (images(&report.images))
                }
            }
        }
        @if let (Some(report), Some(forms)) = (found, forms) { (actions(report.rollout.state, forms)) }
    }
}

fn facts(report: &RolloutReport) -> Markup {
    let RolloutReport { rollout, counts, .. } = report;
    html! {
        dl {
            dt { "number" } dd { (rollout.number) }
            dt { "image" } dd.code { (rollout.image) }
            dt { "state" } dd { (state(rollout.state)) }
            dt { "reason" } dd { (or_none(rollout.reason.as_ref())) }
            dt { "towns" } dd { (rollout.percent.get()) " %" }
            dt { "at the same time" } dd { @if rollout.only_stopped { "no running town" } @else { (rollout.max_unavailable.get()) } }
            dt { "healthy" } dd { (counts.done) }
            dt { "failed" } dd { (counts.failed) }
            dt { "skipped" } dd { (counts.skipped) }
            dt { "in flight" } dd { (counts.in_flight) }
            dt { "waiting" } dd { (report.waiting) }
            dt { "at their next start" } dd { (report.stopped) " stopped, " (report.unhealthy) " unhealthy" }
            dt { "started" } dd { (time(rollout.started_at)) " by " (rollout.started_by) }
            dt { "changed" } dd { (time(rollout.changed_at)) " by " (rollout.changed_by) }
            dt { "ended" } dd { (maybe_time(rollout.ended_at)) }
        }
    }
}

fn state(state: RolloutState) -> Markup {
    let class = match state {
        RolloutState::Running | RolloutState::Undoing => "warn",
        RolloutState::Paused | RolloutState::UndoPaused => "bad",
        RolloutState::Finished => "good",
        RolloutState::Undone => "quiet",
    };
    html! { span class=(class) { (state.as_str()) } }
}

fn failures(failures: &[FailedTouch]) -> Markup {
    html! {
        table {
            thead { tr { th { "town" } th { "cause" } } }
            tbody {
                @for failed in failures {
                    tr {
                        td { (link_to_town(failed.town, &failed.name)) }
                        td {
                            @match &failed.failure {
                                Some(failure) => { (failure.as_str()) ": " (failure.message()) },
                                None => "became unhealthy after its restart",
                            }
                        }
                    }
                }
            }
        }
    }
}

fn images(images: &[(Option<String>, u64)]) -> Markup {
    html! {
        table {
            thead { tr { th { "image" } th { "towns" } } }
            tbody {
                @for (image, towns) in images {
                    tr {
                        td.code { @if let Some(image) = image { (image) } @else { (none()) } }
                        td { (towns) }
                    }
                }
            }
        }
    }
}

/// Returns the button that the state allows.
fn actions(state: RolloutState, forms: &Forms) -> Markup {
    let action = if state.paused().is_some() { Some("pause") } else { state.resumed().map(|_| "resume") };
    html! {
        @if let Some(action) = action {
            h2 { "Actions" }
            form method="post" action={ "/console/rollout/" (action) } {
                input type="hidden" name="form_token" value=(forms.token);
                button { (action) }
            }
        }
    }
}
