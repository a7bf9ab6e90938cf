//! `wait`: a long poll for a state.

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

const LONGEST_SECONDS: u64 = 60;

/// States that can be waited for; `settled` is any that lasts.
const AWAITABLE: [&str; 6] = ["started", "stopped", "suspended", "destroyed", "failed", "settled"];

struct Wanted {
    states: Vec<String>,
    version: Option<String>,
    timeout: Duration,
}

/// Answers when the machine is in one of the wanted states, cannot get there, or time is up.
pub(crate) async fn wait(
    world: &SharedWorld,
    request: &ApiRequest,
    cancel: &CancellationToken,
) -> Result<Reply, ApiError> {
    let wanted = parse(request)?;
    let (app, id) = (&request.route.app, &request.route.id);
    world.update(|world| world.visible_machine(app, id).map(|_| ()))?;
    let deadline = Instant::now() + wanted.timeout;
    let answer = world.wait_for(deadline, |world| match world.machines.get(id) {
        Some(machine) => judge(machine, &wanted),
        None => Some(Err(ApiError::MachineNotFound)),
    });
    let answer = tokio::select! {
        answer = answer => answer,
        () = cancel.cancelled() => return Err(ApiError::ShuttingDown),
    };
    answer.unwrap_or_else(|| {
        let current = world.read(|world| world.machines.get(id).map(|machine| machine.state));
        let current = current.map_or_else(|| "unknown".to_owned(), |state| state.to_string());
        Err(ApiError::NotReached { wanted: wanted.states.join(","), current })
    })
}

fn parse(request: &ApiRequest) -> Result<Wanted, ApiError> {
    let seconds = match request.query("timeout") {
        None => LONGEST_SECONDS,
        Some(text) => text.trim_end_matches('s').parse().map_err(|_| ApiError::WaitTimeout)?,
    };
    if !(1..=LONGEST_SECONDS).contains(&seconds) {
        return Err(ApiError::WaitTimeout);
    }
    let given = request.query.iter().filter(|(name, _)| name == "state");
    let mut states: Vec<String> =
        given.flat_map(|(_, value)| value.split(',')).filter(|state| !state.is_empty()).map(str::to_owned).collect();
    if states.is_empty() {
        states.push("started".to_owned());
    }
    if let Some(unknown) = states.iter().find(|state| !AWAITABLE.contains(&state.as_str())) {
        return Err(ApiError::invalid(format!("invalid WaitMachineRequest.State: {unknown}")));
    }
    let version = request.query("version").or_else(|| request.query("instance_id"));
    Ok(Wanted { states, version: version.map(str::to_owned), timeout: Duration::from_secs(seconds) })
}

/// What there is to answer now, if anything.
fn judge(machine: &Machine, wanted: &Wanted) -> Option<Result<Reply, ApiError>> {
    let names = || wanted.states.join(",");
    if wanted.version.as_ref().is_some_and(|version| *version != machine.version) {
        return Some(Err(ApiError::NotReached { wanted: names(), current: "replaced".to_owned() }));
    }
    if wanted.states.iter().any(|state| state == machine.state.as_str() || (state == "settled" && lasts(machine.state)))
    {
        let event = machine.events.front().map(|event| event.id.clone()).unwrap_or_default();
        let answer = json!({ "ok": true, "state": machine.state, "event_id": event, "version": machine.version });
        return Some(Ok(Reply::json(200, answer)));
    }
    let gone = machine.is_destroyed_or_destroying() && !wanted.states.iter().any(|state| state == "destroyed");
    gone.then(|| Err(ApiError::Unreachable { wanted: names(), current: machine.state }))
}

fn lasts(state: State) -> bool {
    matches!(state, State::Started | State::Stopped | State::Suspended | State::Failed | State::Destroyed)
}
