//! The calls that change the state of machines: start, stop, restart, signal, suspend, cordon, destroy.

use serde_json::{Value, json};

use super::{ApiRequest, leases};
use crate::{
    api_error::ApiError,
    machine_state::State,
    reply::Reply,
    world::{Transition, World},
};

/// Signals that end a process which does not handle them, with their numbers on Linux.
///
/// The simulated process handles SIGUSR1 and SIGUSR2.
const DEADLY: [(&str, i64); 12] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGSEGV", 11),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
];
/// The signals that the simulated process handles.
const HANDLED: [(&str, i64); 2] = [("SIGUSR1", 10), ("SIGUSR2", 12)];

pub(super) fn start(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    leases::check_lease(world, request)?;
    let (now, id) = (world.now(), &request.route.id);
    let machine = world.reachable_machine(&request.route.app, id)?;
    let previous = machine.state;
    match previous {
        State::Stopped | State::Suspended | State::Failed => {}
        State::Replacing => return Err(ApiError::StartWhileReplacing),
        state => return Err(ApiError::CannotStart(state)),
    }
    if machine.active_until.is_some_and(|until| now < until) {
        return Err(ApiError::StillActive);
    }
    let volume = machine.mount().map(|(volume, _)| volume.to_owned());
    if volume.is_some_and(|volume| !world.volumes.contains_key(&volume)) {
        return Err(ApiError::VolumeNotFound);
    }
    world.begin_start(id);
    Ok(Reply::json(200, json!({ "previous_state": previous, "migrated": false, "new_host": "" })))
}

/// Stops a machine. The body may be empty, that of fly-go (`{"id", "timeout"}`) or that of the document.
pub(super) fn stop(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    leases::check_lease(world, request)?;
    let (id, delay) = (&request.route.id, world.settings.timing.stop);
    let machine = world.reachable_machine(&request.route.app, id)?;
    match machine.state {
        State::Stopping
        | State::Stopped
        | State::Failed
        | State::LaunchFailed
        | State::Destroying
        | State::Destroyed => {}
        // A stop also overrides a start or an update in progress.
        _ => {
            machine.program = None;
            world.transition_to(id, State::Stopping, Some((delay, Transition::Stopped)));
            world.record_event(id, "stop", "user", Some(json!({ "reason": "" })));
        }
    }
    Ok(Reply::ok())
}

pub(super) fn restart(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    leases::check_lease(world, request)?;
    let id = &request.route.id;
    let machine = world.reachable_machine(&request.route.app, id)?;
    if machine.state != State::Started {
        return Err(ApiError::NotRunning(machine.state));
    }
    world.begin_restart(id);
    Ok(Reply::ok())
}

/// Sends a signal. A deadly one ends the process, and the restart policy applies.
pub(super) fn signal(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let signal = request.body.get("signal").cloned().unwrap_or(Value::Null);
    let machine = world.reachable_machine(&request.route.app, &request.route.id)?;
    if machine.state != State::Started {
        return Err(ApiError::NotRunning(machine.state));
    }
    let named = |(name, number): &(&str, i64)| signal == *name || signal == *number;
    match DEADLY.iter().find(|signal| named(signal)) {
        Some((_, number)) => world.kill_process(&request.route.id, *number),
        None if HANDLED.iter().any(named) => {}
        None => return Err(ApiError::invalid(format!("unknown signal {signal}"))),
    }
    Ok(Reply::ok())
}

pub(super) fn suspend(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    leases::check_lease(world, request)?;
    let (id, delay) = (&request.route.id, world.settings.timing.suspend);
    let machine = world.reachable_machine(&request.route.app, id)?;
    match machine.state {
        State::Suspending | State::Suspended => {}
        State::Started => {
            machine.program = None;
            world.transition_to(id, State::Suspending, Some((delay, Transition::Suspended)));
            world.record_event(id, "suspend", "user", None);
        }
        state => return Err(ApiError::NotRunning(state)),
    }
    Ok(Reply::ok())
}

pub(super) fn cordon(world: &mut World, request: &ApiRequest, cordoned: bool) -> Result<Reply, ApiError> {
    leases::check_lease(world, request)?;
    world.reachable_machine(&request.route.app, &request.route.id)?.cordoned = cordoned;
    Ok(Reply::ok())
}

/// Destroys a machine. `force` and `kill` are synonyms. A repeated destroy answers 200 again.
pub(super) fn destroy(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    leases::check_lease(world, request)?;
    let id = &request.route.id;
    let state = world.machine(&request.route.app, id)?.state;
    if state.needs_force() && !request.flag(&["force", "kill"]) {
        return Err(ApiError::DestroyWhileRunning);
    }
    if !matches!(state, State::Destroying | State::Destroyed) {
        world.begin_destroy(id, "user");
    }
    Ok(Reply::ok())
}
