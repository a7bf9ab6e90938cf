//! The orphan records.

use gastown_domain::ports::Orphan;
use maud::{Markup, html};

use super::texts::{maybe_time, time};

/// Returns the page with at most `most` records, oldest first.
pub(crate) fn orphans(orphans: &[Orphan], most: usize) -> Markup {
    html! {
        h1 { "Orphans" }
        p { "Machines and volumes at the provider that no row accounts for. " span.code { "gastown orphans" } " lists and deletes them." }
        div data-fresh {
            @if orphans.is_empty() { p.quiet { "No orphan is recorded." } } @else { (rows(orphans.iter().take(most))) }
            @if orphans.len() > most {
                p.quiet { "The oldest " (most) " of " (orphans.len()) " are shown." }
            }
        }
    }
}

/// Returns the table.
pub(super) fn rows<'a>(orphans: impl IntoIterator<Item = &'a Orphan>) -> Markup {
    html! {
        table {
            thead { tr { th { "kind" } th { "id" } th { "name" } th { "app" } th { "reason" } th { "first seen" } th { "last seen" } th { "times" } th { "deletion requested" } } }
            tbody {
                @for orphan in orphans {
                    tr {
                        td { (orphan.resource.kind()) }
                        td.code { (orphan.resource.id()) }
                        td { (orphan.name) }
                        td { (orphan.app) }
                        td { (orphan.reason.as_str()) }
                        td { (time(orphan.first_seen_at)) }
                        td { (time(orphan.last_seen_at)) }
                        td { (orphan.times_seen) }
                        td { (maybe_time(orphan.deletion_asked_at)) }
                    }
                }
            }
        }
    }
}
