//! The call `wait`: a long poll for a state.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    machine_state::State,
    reply::Reply,
    world::{Machine, SharedWorld},
};

const MAX_SECONDS: u64 = 60;

/// The states that can be waited for. `settled` is any stable state.
const AWAITABLE: [&str; 6] = ["started", "stopped", "suspended", "destroyed", "failed", "settled"];

/// The states, the version and the timeout of a wait.
struct Condition {
    states: Vec<String>,
    version: Option<String>,
    /// The id of the event after which the state must be reached.
    after: Option<String>,
    timeout: Duration,
}

/// Waits until the machine is in one of the states, cannot reach them any more, or the timeout has passed.
pub(crate) async fn wait(
    world: &SharedWorld,
    request: &ApiRequest,
    cancel: &CancellationToken,
) -> Result<Reply, ApiError> {
    let condition = parse(request)?;
    let (app, id) = (&request.route.app, &request.route.id);
    world.update(|world| known_event(world.visible_machine(app, id)?, &condition))?;
    let deadline = Instant::now() + condition.timeout;
    let answer = world.wait_for(deadline, |world| match world.machines.get(id) {
        Some(machine) => check(machine, &condition),
        None => Some(Err(ApiError::MachineNotFound)),
    });
    let answer = tokio::select! {
        answer = answer => answer,
        () = cancel.cancelled() => return Err(ApiError::ShuttingDown),
    };
    answer.unwrap_or_else(|| {
        let current = world.read(|world| world.machines.get(id).map(|machine| machine.state));
        let current = current.map_or_else(|| "unknown".to_owned(), |state| state.to_string());
        Err(ApiError::NotReached { wanted: condition.states.join(","), current })
    })
}

fn parse(request: &ApiRequest) -> Result<Condition, ApiError> {
    let timeout = parse_timeout(request)?;
    let states = parse_states(request)?;
    let given = |name: &str| request.query(name).filter(|text| !text.is_empty());
    let version = given("version").or_else(|| given("instance_id")).map(str::to_owned);
    if version.is_none() && states.iter().any(|state| state == "stopped") {
        return Err(ApiError::WaitWithoutVersion);
    }
    let after = given("from_event_id").map(str::to_owned);
    Ok(Condition { states, version, after, timeout })
}

/// Refuses an event that the machine does not have.
fn known_event(machine: &Machine, condition: &Condition) -> Result<(), ApiError> {
    match &condition.after {
        Some(after) if !machine.events.iter().any(|event| event.id == *after) => {
            Err(ApiError::invalid(format!("invalid WaitMachineRequest.FromEventID: unknown event '{after}'")))
        }
        _ => Ok(()),
    }
}

fn parse_timeout(request: &ApiRequest) -> Result<Duration, ApiError> {
    let seconds = match request.query("timeout") {
        None => MAX_SECONDS,
        Some(text) => text.trim_end_matches('s').parse().map_err(|_| ApiError::WaitTimeout)?,
    };
    if (1..=MAX_SECONDS).contains(&seconds) { Ok(Duration::from_secs(seconds)) } else { Err(ApiError::WaitTimeout) }
}

fn parse_states(request: &ApiRequest) -> Result<Vec<String>, ApiError> {
    let given = request.query.iter().filter(|(name, _)| name == "state");
    let mut states: Vec<String> =
        given.flat_map(|(_, value)| value.split(',')).filter(|state| !state.is_empty()).map(str::to_owned).collect();
    if states.is_empty() {
        states.push("started".to_owned());
    }
    match states.iter().find(|state| !AWAITABLE.contains(&state.as_str())) {
        Some(unknown) => Err(ApiError::invalid(format!("invalid WaitMachineRequest.State: {unknown}"))),
        None => Ok(states),
    }
}

/// Returns the answer, or `None` while the machine may still reach one of the states.
fn check(machine: &Machine, condition: &Condition) -> Option<Result<Reply, ApiError>> {
    let wanted = || condition.states.join(",");
    if condition.version.as_ref().is_some_and(|version| *version != machine.version) {
        return Some(Err(ApiError::NotReached { wanted: wanted(), current: "replaced".to_owned() }));
    }
    if let Some((state, event)) = reached(machine, condition) {
        let answer = json!({ "ok": true, "state": state, "event_id": event, "version": machine.version });
        return Some(Ok(Reply::json(200, answer)));
    }
    let unreachable = machine.is_destroyed_or_destroying() && !condition.states.iter().any(|s| s == "destroyed");
    unreachable.then(|| Err(ApiError::Unreachable { wanted: wanted(), current: machine.state }))
}

/// Returns the state that was reached, and its event.
///
/// After an event, a state counts that the machine has been in since, although it may have left it again.
fn reached<'world>(machine: &'world Machine, condition: &'world Condition) -> Option<(State, &'world str)> {
    let wanted = |state: State| condition.states.iter().any(|wanted| is_in(state, wanted));
    let Some(after) = &condition.after else {
        let event = machine.events.front().map_or("", |event| event.id.as_str());
        return wanted(machine.state).then_some((machine.state, event));
    };
    let since = machine.events.iter().take_while(|event| event.id != *after);
    let earliest = since.filter(|event| wanted(event.status)).last();
    // Some changes of the state have no event.
    let is_new = || machine.events.iter().any(|event| event.id == *after && event.at < machine.updated_at);
    match earliest {
        Some(event) => Some((event.status, event.id.as_str())),
        None => (wanted(machine.state) && is_new()).then_some((machine.state, after)),
    }
}

fn is_in(state: State, wanted: &str) -> bool {
    wanted == state.as_str() || (wanted == "settled" && is_stable(state))
}

fn is_stable(state: State) -> bool {
    matches!(state, State::Started | State::Stopped | State::Suspended | State::Failed | State::Destroyed)
}
