//! Lists as JSON.

use gastown_domain::ports::{AuditedEvent, ListedTown, Readable};
use serde_json::{Value, json};

use super::{MachinesOfTowns, json};

/// Returns a list of towns, with their machines if these were compared. `has_more` is true if the limit has left some out.
pub(in crate::commands) fn towns(
    towns: &[Readable<ListedTown>],
    has_more: bool,
    machines: Option<&MachinesOfTowns>,
) -> Value {
    json!({ "towns": towns.iter().map(|listed| town(listed, machines)).collect::<Vec<_>>(), "more": has_more })
}

fn town(listed: &Readable<ListedTown>, machines: Option<&MachinesOfTowns>) -> Value {
    let listed = match listed {
        Ok(listed) => listed,
        Err(row) => return json::unreadable(row),
    };
    let mut value = json::town(&listed.town);
    value["health"] = listed.health.as_ref().map_or_else(json::unreadable, json::health);
    value["operation"] = json!(listed.operation.as_ref().map(json::in_flight));
    if let Some(machine) = machines.and_then(|machines| machines.get(&listed.town.id)) {
        value["image"] = json!(machine.image);
        value["hasOldKey"] = json!(machine.has_old_key);
    }
    value
}

/// Returns a list of events. `has_more` is true if the limit has left some out.
pub(in crate::commands) fn events(events: &[AuditedEvent], has_more: bool) -> Value {
    json!({ "events": events.iter().map(event).collect::<Vec<_>>(), "more": has_more })
}

/// Returns an event with its town.
pub(super) fn event(audited: &AuditedEvent) -> Value {
    let mut value = json::event(&audited.event);
    value["townId"] = json!(audited.town);
    value["userId"] = json!(audited.owner);
    value["townName"] = json!(audited.name);
    value
}
