//! Lists as tables.

use gastown_domain::ports::{AuditedEvent, HeldOperation, ListedTown, Readable, TownEvent, TownHealth};
use gastown_domain::{Failure, HealthState, Recorded};

use super::table::{headed, headed_by, none, or_none, plain, some, time, unreadable};
use super::{MachinesOfTowns, TownMachine};

/// Returns a list of towns, with their machines if these were compared. `has_more` is true if the limit has left some out.
pub(in crate::commands) fn towns(
    towns: &[Readable<ListedTown>],
    has_more: bool,
    machines: Option<&MachinesOfTowns>,
) -> String {
    let rows = some(towns, |towns| town_rows(towns, machines)).unwrap_or_else(|| "No towns.".to_owned());
    rows + note(has_more)
}

/// Returns a list of events. `has_more` is true if the limit has left some out.
pub(in crate::commands) fn events(events: &[AuditedEvent], has_more: bool) -> String {
    let rows = some(events, event_rows).unwrap_or_else(|| "No events.".to_owned());
    rows + note(has_more)
}

const fn note(has_more: bool) -> &'static str {
    if has_more { "\n\nThere are more: raise --limit, or add conditions." } else { "" }
}

fn town_rows(towns: &[Readable<ListedTown>], machines: Option<&MachinesOfTowns>) -> String {
    let heads = ["user", "name", "status", "health", "in flight", "region", "created", "id"];
    let at_fly: &[&str] = if machines.is_some() { &["image", "key"] } else { &[] };
    let mut table = headed_by(heads.iter().chain(at_fly).copied());
    for listed in towns {
        let ListedTown { town, health, operation } = match listed {
            Ok(listed) => listed,
            Err(row) => {
                let unread = ["?".to_owned(), unreadable(row), none(), none(), none(), none(), none()];
                table.add_row(unread.into_iter().chain([row.town.to_string()]));
                continue;
            }
        };
        let row = [
            town.owner.to_string(),
            town.name.to_string(),
            town.status.to_string(),
            health.as_ref().map_or_else(unreadable, health_of),
            operation.as_ref().map_or_else(none, |operation| operation.as_ref().map_or_else(unreadable, in_flight)),
            or_none(town.region.as_ref()),
            time(town.created_at),
            town.id.to_string(),
        ];
        let machine = machines.and_then(|machines| machines.get(&town.id));
        table.add_row(row.into_iter().chain(machine.into_iter().flat_map(machine_cells)));
    }
    table.trim_fmt()
}

fn machine_cells(machine: &TownMachine) -> [String; 2] {
    let key = match machine.has_old_key {
        Some(true) => "old".to_owned(),
        Some(false) => "current".to_owned(),
        None => none(),
    };
    [machine.image.as_deref().map_or_else(none, plain), key]
}

fn health_of(health: &TownHealth) -> String {
    let fails = match health.state.known() {
        Some(HealthState::Unknown | HealthState::Healthy) => false,
        Some(HealthState::Unhealthy | HealthState::Error) | None => true,
    };
    match &health.drift {
        Some((drift, _)) => plain(drift.as_str()),
        None if fails => plain(health.state.as_str()),
        None => "ok".to_owned(),
    }
}

fn in_flight(held: &HeldOperation) -> String {
    let operation = &held.operation;
    match operation.attempt {
        0 => plain(operation.kind.as_str()),
        attempts => format!("{}, {attempts} failed attempts", plain(operation.kind.as_str())),
    }
}

/// Returns the rows of events of several towns.
pub(super) fn event_rows(events: &[AuditedEvent]) -> String {
    let mut table = headed(["time", "user", "town", "actor", "action", "outcome", "at step", "cause"]);
    for AuditedEvent { owner, name, event, .. } in events {
        table.add_row([
            time(event.at),
            plain(owner),
            plain(name),
            plain(&event.actor),
            plain(&event.action),
            plain(&event.outcome),
            step(event),
            cause(event),
        ]);
    }
    table.trim_fmt()
}

/// Returns the last step of an operation that failed.
pub(super) fn step(event: &TownEvent) -> String {
    let failed = event.error.as_ref().and(event.last_step.as_deref());
    failed.map_or_else(none, plain)
}

/// Returns the code of the cause, and its meaning.
pub(super) fn cause(event: &TownEvent) -> String {
    let Some(code) = &event.error else { return none() };
    match Recorded::<Failure>::read(code) {
        Recorded::Known(failure) => format!("{}: {}", failure.as_str(), failure.message()),
        Recorded::Newer(text) => plain(&text),
    }
}
