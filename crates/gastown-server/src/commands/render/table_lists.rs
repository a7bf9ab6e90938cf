//! Lists as tables.

use gastown_domain::{Failure, HealthState, Recorded};

use super::table::{headed, headed_by, moment, none, or_none, plain, some, unreadable};
use crate::reports::{
    Event, EventList, EventOfTown, Health, HeldOperation, ListedTown, MachineOfTown, Readable, TownList,
};

/// Returns a list of towns, with their machines if these were compared.
pub(in crate::commands) fn towns(list: &TownList, is_compared: bool) -> String {
    let rows = some(&list.towns, |towns| town_rows(towns, is_compared)).unwrap_or_else(|| "No towns.".to_owned());
    rows + note(list.more)
}

/// Returns a list of events.
pub(in crate::commands) fn events(list: &EventList) -> String {
    let rows = some(&list.events, event_rows).unwrap_or_else(|| "No events.".to_owned());
    rows + note(list.more)
}

const fn note(has_more: bool) -> &'static str {
    if has_more { "\n\nThere are more: raise --limit, or add conditions." } else { "" }
}

fn town_rows(towns: &[Readable<ListedTown>], is_compared: bool) -> String {
    let heads = ["user", "name", "status", "health", "in flight", "region", "created", "id"];
    let at_fly: &[&str] = if is_compared { &["image", "key"] } else { &[] };
    let mut table = headed_by(heads.iter().chain(at_fly).copied());
    for listed in towns {
        let ListedTown { town, health, operation, machine } = match listed.as_result() {
            Ok(listed) => listed,
            Err(row) => {
                let unread = ["?".to_owned(), unreadable(row), none(), none(), none(), none(), none()];
                table.add_row(unread.into_iter().chain([row.town_id.to_string()]));
                continue;
            }
        };
        let in_flight = |operation: &Readable<HeldOperation>| operation.as_result().map_or_else(unreadable, in_flight);
        let row = [
            town.user_id.to_string(),
            town.town_name.to_string(),
            plain(&town.status),
            health.as_result().map_or_else(unreadable, health_of),
            operation.as_ref().map_or_else(none, in_flight),
            or_none(town.fly_region.as_ref()),
            moment(town.created_at),
            town.town_id.to_string(),
        ];
        table.add_row(row.into_iter().chain(machine.iter().flat_map(machine_cells)));
    }
    table.trim_fmt()
}

fn machine_cells(machine: &MachineOfTown) -> [String; 2] {
    let key = match machine.has_old_key {
        Some(true) => "old".to_owned(),
        Some(false) => "current".to_owned(),
        None => none(),
    };
    [machine.image.as_deref().map_or_else(none, plain), key]
}

fn health_of(health: &Health) -> String {
    let fails = match Recorded::<HealthState>::read(&health.state).known() {
        Some(HealthState::Unknown | HealthState::Healthy) => false,
        Some(HealthState::Unhealthy | HealthState::Error) | None => true,
    };
    match &health.drift {
        Some(drift) => plain(&drift.code),
        None if fails => plain(&health.state),
        None => "ok".to_owned(),
    }
}

/// Returns the operation in flight, with its author unless it is the owner.
fn in_flight(held: &HeldOperation) -> String {
    let operation = &held.operation;
    let author = Some(&operation.requested_by).filter(|author| **author != held.user_id.as_str());
    let by = author.map(|author| format!(" by {}", plain(author))).unwrap_or_default();
    match operation.attempt {
        0 => format!("{}{by}", plain(&operation.kind)),
        attempts => format!("{}{by}, {attempts} failed attempts", plain(&operation.kind)),
    }
}

/// Returns the rows of events of several towns.
pub(super) fn event_rows(events: &[EventOfTown]) -> String {
    let mut table = headed(["time", "user", "town", "actor", "action", "outcome", "at step", "cause"]);
    for EventOfTown { user_id, town_name, event, .. } in events {
        table.add_row([
            moment(event.at),
            plain(user_id),
            plain(town_name),
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
pub(super) fn step(event: &Event) -> String {
    let failed = event.error.as_ref().and(event.last_step.as_deref());
    failed.map_or_else(none, plain)
}

/// Returns the code of the cause, and its meaning.
pub(super) fn cause(event: &Event) -> String {
    let Some(code) = &event.error else { return none() };
    match Recorded::<Failure>::read(code) {
        Recorded::Known(failure) => format!("{}: {}", failure.as_str(), failure.message()),
        Recorded::Newer(text) => plain(&text),
    }
}
