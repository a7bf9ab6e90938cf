//! One town: its row, its operation, rigs, orphans and events, and the forms of the actions.

use gastown_domain::Rig;
use gastown_domain::ports::{AuditedEvent, HeldOperation, Readable, TownDetails};
use maud::{Markup, html};

use super::orphans;
use super::texts::{delays, event_heads, event_row, health, maybe_time, or_none, status, steps, time, unreadable};
use crate::filter::Fields;
use crate::sources::TownAction;

/// The forms of a town's page.
pub(crate) struct Forms {
    /// The token of the visitor's forms.
    pub(crate) token: String,
    /// The effect of the last action, in words.
    pub(crate) message: Option<&'static str>,
}

/// Returns the page. `forms` are shown if the console may act.
pub(crate) fn town(found: &TownDetails, forms: Option<&Forms>, alert_attempts: u32) -> Markup {
    let town = &found.town;
    html! {
        h1 { (town.owner) "/" (town.name) }
        @if let Some(message) = forms.and_then(|forms| forms.message) { p role="status" { strong { (message) } } }
        div data-fresh {
            (facts(found))
            @if let Some(operation) = &found.operation { h2 { "In flight" } (in_flight(operation, alert_attempts)) }
            @if !found.rigs.is_empty() { h2 { "Rigs" } (rigs(&found.rigs)) }
            @if !found.orphans.is_empty() { h2 { "Orphans" } (orphans::rows(&found.orphans)) }
            @if !found.unreadable.is_empty() {
                h2 { "Unreadable rows" }
                ul { @for row in &found.unreadable { li { (unreadable(&row.which)) } } }
            }
            h2 { "Latest events" }
            table { thead { (event_heads()) } tbody { @for event in events(found) { (event_row(&event)) } } }
            p { a href=(Fields::events_of(town.id)) { "All events" } }
        }
        @if let Some(forms) = forms { @if !town.is_tombstone() { (actions(found, forms)) } }
    }
}

fn events(found: &TownDetails) -> impl Iterator<Item = AuditedEvent> {
    let town = &found.town;
    found.events.iter().map(|event| AuditedEvent {
        town: town.id,
        owner: town.owner.to_string(),
        name: town.name.to_string(),
        event: event.clone(),
    })
}

fn facts(found: &TownDetails) -> Markup {
    let town = &found.town;
    html! {
        dl {
            dt { "status" } dd { (status(town.status)) }
            dt { "health" } dd { (health(&found.health)) }
            dt { "id" } dd.code { (town.id) }
            dt { "sandbox id" } dd.code { (town.sandbox_id) }
            dt { "region" } dd { (or_none(town.region.as_ref())) }
            dt { "machine" } dd.code { (or_none(town.machine_id.as_ref())) }
            dt { "image" } dd.code { (or_none(found.health.as_ref().ok().and_then(|health| health.image.as_ref()))) }
            dt { "volume" } dd.code { (or_none(town.volume_id.as_ref())) }
            dt { "created" } dd { (time(town.created_at)) }
            dt { "destroyed" } dd { (maybe_time(town.destroyed_at)) }
            dt { "last heartbeat" } dd { (maybe_time(town.last_heartbeat_at)) }
            dt { "last sync" } dd { (maybe_time(town.last_r2_sync_at)) }
            dt { "last compared with Fly" } dd { (maybe_time(found.health.as_ref().ok().and_then(|health| health.compared_at))) }
        }
    }
}

fn in_flight(operation: &Readable<HeldOperation>, alert_attempts: u32) -> Markup {
    let held = match operation {
        Ok(held) => held,
        Err(row) => return unreadable(&row.which),
    };
    let operation = &held.operation;
    html! {
        dl {
            dt { "operation" } dd { (operation.kind.as_str()) ", " (operation.phase.as_str()) }
            dt { "id" } dd.code { (operation.id) }
            dt { "steps" } dd { (steps(held)) }
            dt { "delays" } dd { (delays(held, alert_attempts)) }
            dt { "requested by" } dd { (operation.author()) }
            dt { "held by" } dd.code { (or_none(held.held_by.as_ref().map(|worker| &worker.0))) }
            dt { "next attempt" } dd { (time(operation.next_attempt_at)) }
            dt { "deadline" } dd { (maybe_time(operation.deadline_at)) }
            dt { "started" } dd { (time(operation.created_at)) }
        }
    }
}

fn rigs(rigs: &[Rig]) -> Markup {
    html! {
        table {
            thead { tr { th { "name" } th { "status" } th { "repository" } th { "branch" } th { "created" } } }
            tbody {
                @for rig in rigs {
                    tr {
                        td { (rig.name) } td { (rig.status.as_str()) } td { (rig.repo) }
                        td { (or_none(rig.branch.as_ref())) } td { (time(rig.created_at)) }
                    }
                }
            }
        }
    }
}

fn actions(found: &TownDetails, forms: &Forms) -> Markup {
    html! {
        h2 { "Actions" }
        @for action in TownAction::ALL {
            form.action method="post" action={ "/console/towns/" (found.town.id) "/" (action.as_str()) } {
                input type="hidden" name="form_token" value=(forms.token);
                @match action {
                    TownAction::Start | TownAction::Stop => {}
                    TownAction::Destroy => {
                        label { "Name of the town, to destroy it with all its data: " input name="name" autocomplete="off"; }
                    }
                }
                button { (action.as_str()) }
            }
        }
    }
}
