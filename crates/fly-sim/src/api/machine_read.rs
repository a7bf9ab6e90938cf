//! The calls that read machines.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    machine_state::State,
    reply::Reply,
    world::{Machine, MachineEvent, World},
};

/// Fly's default for the number of events in `GET …/events`.
const DEFAULT_EVENTS: usize = 20;
/// Fly's maximum for the number of events in `GET …/events`.
const MAX_EVENTS: usize = 50;

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let machine = world.visible_machine(&request.route.app, &request.route.id)?;
    Ok(Reply::json(200, machine.render(false)))
}

pub(super) fn list(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    world.app(&request.route.app)?;
    let lag = world.settings.timing.list_lag;
    let summary = request.flag(&["summary"]);
    let mut machines: Vec<&Machine> = world
        .machines
        .values()
        .filter(|machine| machine.app == request.route.app)
        .filter(|machine| machine.creation.at + lag <= world.now() && machine.visible_from <= world.now())
        .filter(|machine| matches_filters(machine, request))
        .collect();
    machines.sort_by_key(|machine| machine.creation);
    let shown = machines.into_iter().map(|machine| {
        let mut shown = machine.render(summary);
        if request.lists_deleted && machine.is_destroyed_or_destroying() {
            shown["state"] = json!(machine.last_live_state);
        }
        shown
    });
    Ok(Reply::list(shown))
}

pub(super) fn events(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let limit = request.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(DEFAULT_EVENTS).min(MAX_EVENTS);
    let machine = world.visible_machine(&request.route.app, &request.route.id)?;
    Ok(Reply::json(200, machine.events.iter().take(limit).map(MachineEvent::render).collect()))
}

pub(super) fn versions(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let machine = world.visible_machine(&request.route.app, &request.route.id)?;
    let newest_first = machine.versions.iter().rev();
    let shown: Vec<Value> =
        newest_first.map(|(version, config)| json!({ "version": version, "user_config": config })).collect();
    Ok(Reply::json(200, Value::Array(shown)))
}

/// Returns true if the machine matches all filters of the list.
pub(super) fn matches_filters(machine: &Machine, request: &ApiRequest) -> bool {
    let is_destroyed = machine.state == State::Destroyed;
    if is_destroyed && !request.lists_deleted && !request.flag(&["include_deleted"]) {
        return false;
    }
    // Lists do not know the configuration of a machine whose host is down, so filters on metadata omit it.
    let metadata = if machine.host_down { BTreeMap::new() } else { machine.string_map("metadata") };
    request.query.iter().all(|(name, wanted)| match name.as_str() {
        "region" => machine.region == *wanted,
        "state" => wanted.split(',').any(|state| state == machine.state.as_str()),
        _ => match name.strip_prefix("metadata.") {
            Some(key) => metadata.get(key) == Some(wanted),
            None => true,
        },
    })
}
