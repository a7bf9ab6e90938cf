//! The events of all towns, newest first, in pages.

use gastown_domain::ports::AuditedEvent;
use maud::{Markup, html};

use super::texts::{event_heads, event_row};
use crate::filter::Fields;

/// Returns the page. `older` is the address of the next one.
pub(crate) fn events(fields: &Fields, events: &[AuditedEvent], older: Option<&str>) -> Markup {
    html! {
        h1 { "Events" }
        form.conditions method="get" action="/console/events" {
            label { "Town (id)" input name="town" value=(fields.get("town").unwrap_or_default()); }
            label { "User" input name="user" value=(fields.get("user").unwrap_or_default()); }
            label { "Actor" input name="actor" value=(fields.get("actor").unwrap_or_default()); }
            label { "Action" input name="action" value=(fields.get("action").unwrap_or_default()); }
            label { "Only failed" input type="checkbox" name="failed" value="1" checked[fields.get("failed").is_some()]; }
            button { "Show" }
        }
        div data-fresh {
            @if events.is_empty() { p.quiet { "No event meets these conditions." } } @else {
                table { thead { (event_heads()) } tbody { @for event in events { (event_row(event)) } } }
            }
            @if let Some(older) = older { p { a href=(older) rel="next" { "Older events" } } }
        }
    }
}
