//! The towns of all users, in pages.

use gastown_domain::TownStatus;
use gastown_domain::ports::{HeldOperation, ListedHealth, ListedTown, Readable};
use maud::{Markup, html};

use super::texts::{health, link_to_town, maybe_time, none, or_none, status, unreadable};
use crate::filter::Fields;

/// Returns the page. `next` is the address of the next one.
pub(crate) fn towns(fields: &Fields, towns: &[Readable<ListedTown>], next: Option<&str>) -> Markup {
    html! {
        h1 { "Towns" }
        form.conditions method="get" action="/console/towns" {
            label { "User" input name="user" value=(fields.get("user").unwrap_or_default()); }
            label { "Name" input name="name" value=(fields.get("name").unwrap_or_default()); }
            label { "Status" (choice("status", TownStatus::ALL.map(TownStatus::as_str), fields)) }
            label { "Health" (choice("health", ListedHealth::ALL.map(ListedHealth::as_str), fields)) }
            button { "Show" }
        }
        div data-fresh {
            @if towns.is_empty() { p.quiet { "No town meets these conditions." } } @else {
                table {
                    thead { tr { th { "town" } th { "user" } th { "status" } th { "health" } th { "operation" } th { "region" } th { "machine" } th { "last heartbeat" } } }
                    tbody { @for town in towns { (row(town)) } }
                }
            }
            @if let Some(next) = next { p { a href=(next) rel="next" { "Next page" } } }
        }
    }
}

fn choice<const N: usize>(name: &str, values: [&str; N], fields: &Fields) -> Markup {
    let chosen = fields.get(name);
    html! {
        select name=(name) {
            option value="" { "any" }
            @for value in values { option value=(value) selected[chosen == Some(value)] { (value) } }
        }
    }
}

fn row(listed: &Readable<ListedTown>) -> Markup {
    let listed = match listed {
        Ok(listed) => listed,
        Err(row) => {
            let town = link_to_town(row.town, &row.town.to_string());
            return html! { tr { td.code { (town) } td colspan="7" { (unreadable(&row.which)) } } };
        }
    };
    let town = &listed.town;
    html! {
        tr {
            td { (link_to_town(town.id, town.name.as_str())) }
            td { (town.owner) }
            td { (status(town.status)) }
            td { (health(&listed.health)) }
            td { (operation(listed.operation.as_ref())) }
            td { (or_none(town.region.as_ref())) }
            td.code { (or_none(town.machine_id.as_ref())) }
            td { (maybe_time(town.last_heartbeat_at)) }
        }
    }
}

fn operation(held: Option<&Readable<HeldOperation>>) -> Markup {
    match held {
        None => none(),
        Some(Err(row)) => unreadable(&row.which),
        Some(Ok(held)) => html! { (held.operation.kind.as_str()) ": " (held.operation.next_message()) },
    }
}
