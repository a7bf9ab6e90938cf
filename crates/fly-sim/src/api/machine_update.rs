//! The call that replaces a machine's configuration.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    ApiRequest, leases,
    machine_create::{machine_reply, parse_config},
    secrets,
};
use crate::{
    api_error::ApiError,
    machine_state::State,
    reply::Reply,
    world::{Machine, Transition, World},
};

/// Replaces the whole configuration of a machine.
///
/// A started machine reboots into the new version. A stopped one goes through `replacing` back to `stopped`, as
/// production users saw, although Fly's documentation says that it launches.
pub(super) fn update(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let (app, id) = (&request.route.app, &request.route.id);
    leases::check_lease(world, request)?;
    let mut config = parse_config(&request.body)?;
    let secrets = secrets::for_new_version(world.app(app)?, request)?;
    let at = world.wall();
    let version = world.ids.ulid(at);
    let machine = world.reachable_machine(app, id)?;
    let target = target_state(machine.state, request)?;
    if request.text("current_version").is_some_and(|expected| expected != machine.version) {
        return Err(ApiError::StaleVersion);
    }
    keep_mounts(machine, &mut config);
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
    Ok(machine_reply(world, id, nonce))
}

/// Returns the state after the update.
fn target_state(current: State, request: &ApiRequest) -> Result<State, ApiError> {
    match current {
        State::Replacing => Err(ApiError::ConcurrentUpdate),
        State::LaunchFailed | State::Destroying => Err(ApiError::MachineNotFound),
        State::Started | State::Starting | State::Restarting => {
            let skip_launch = request.boolean("skip_launch").unwrap_or(false);
            Ok(if skip_launch { State::Stopped } else { State::Started })
        }
        State::Created | State::Stopping | State::Failed => Ok(State::Stopped),
        State::Stopped | State::Suspending | State::Suspended | State::Destroyed => Ok(current),
    }
}

/// Keeps the mounts. Fly ignores an update that names another volume.
fn keep_mounts(machine: &Machine, config: &mut Map<String, Value>) {
    match machine.config.get("mounts") {
        Some(mounts) => config.insert("mounts".to_owned(), mounts.clone()),
        None => config.remove("mounts"),
    };
}
