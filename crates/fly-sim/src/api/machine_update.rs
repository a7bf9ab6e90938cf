//! Replacing a machine's configuration.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    ApiRequest, leases,
    machine_create::{parse_config, shown},
    secrets,
};
use crate::{
    api_error::ApiError,
    machine_state::State,
    reply::Reply,
    world::{Transition, World},
};

/// The whole configuration is replaced. A started machine reboots into the new version; a stopped one passes
/// `replacing` and returns to `stopped`, as production users saw (Fly's documentation says that it launches).
pub(super) fn update(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let (app, id) = (&request.route.app, &request.route.id);
    leases::check_lease(world, request)?;
    let mut config = parse_config(&request.body)?;
    secrets::check_version(world.app(app)?, request.number("min_secrets_version"))?;
    let skip_secrets = request.boolean("skip_secrets").unwrap_or(false);
    let secrets = if skip_secrets { BTreeMap::default() } else { world.app(app)?.secrets.clone() };
    let at = world.wall();
    let version = world.ids.ulid(at);
    let machine = world.reachable_machine(app, id)?;
    let target = match machine.state {
        State::Replacing => return Err(ApiError::ConcurrentUpdate),
        State::LaunchFailed | State::Destroying => return Err(ApiError::MachineNotFound),
        State::Started | State::Starting | State::Restarting => running_target(request),
        State::Created | State::Stopping | State::Failed => State::Stopped,
        state => state,
    };
    if request.text("current_version").is_some_and(|expected| expected != machine.version) {
        return Err(ApiError::StaleVersion);
    }
    // An update cannot move a machine to another volume: Fly ignores the attempt.
    match machine.config.get("mounts") {
        Some(mounts) => config.insert("mounts".to_owned(), mounts.clone()),
        None => config.remove("mounts"),
    };
    let was_running = machine.state == State::Started;
    machine.config.clone_from(&config);
    machine.versions.push((version.clone(), config));
    machine.version = version;
    machine.secrets = secrets;
    machine.restarts = 0;
    if was_running {
        world.end_process_for_update(id);
    }
    let replace = world.settings.timing.replace;
    world.transition_to(id, State::Replacing, Some((replace, Transition::Replaced(target))));
    world.record_event(id, "update", "user", None);
    let ttl = request.body.get("lease_ttl").and_then(Value::as_u64);
    let nonce = ttl.map(|ttl| leases::grant(world, id, Duration::from_secs(ttl), ""));
    Ok(shown(world, id, nonce))
}

fn running_target(request: &ApiRequest) -> State {
    if request.boolean("skip_launch").unwrap_or(false) { State::Stopped } else { State::Started }
}
