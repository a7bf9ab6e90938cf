//! The effects of faults on calls and on the world.

use std::time::Duration;

use serde_json::Value;

use crate::{
    api_error::ApiError,
    faults::Effect,
    reply::{Content, Reply},
    route::{Call, Route},
    world::{SharedWorld, World},
};

/// Executes a call as far as the effect allows. Returns `None` if the connection is to be closed.
pub(super) async fn execute(
    world: &SharedWorld,
    route: &Route,
    effect: Effect,
    execution: impl Future<Output = Reply>,
) -> Option<Reply> {
    let reply = match effect {
        Effect::DropRequest => return None,
        Effect::Answer { status, body } => reply_with(status, body),
        Effect::Throttle { retry_after_seconds } => {
            Reply { retry_after: retry_after_seconds, ..ApiError::RateLimited.into() }
        }
        Effect::Delay { millis } => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            execution.await
        }
        Effect::DropAnswer => {
            execution.await;
            return None;
        }
        Effect::ApplyThenAnswer { status, body } => {
            execution.await;
            reply_with(status, body)
        }
        Effect::StaleList => shorten_list(execution.await, |length| length.saturating_sub(1)),
        Effect::EmptyList => shorten_list(execution.await, |_| 0),
        // The request carries this effect into its execution.
        Effect::ListsDeleted => execution.await,
        Effect::KillMachine { .. }
        | Effect::LoseVolume
        | Effect::Stuck { .. }
        | Effect::Invisible { .. }
        | Effect::HostDown => {
            let reply = execution.await;
            world.update(|world| apply_to_world(world, route, &reply, &effect));
            reply
        }
    };
    Some(reply)
}

/// Applies the effects that change the world after the call.
fn apply_to_world(world: &mut World, route: &Route, reply: &Reply, effect: &Effect) {
    let created = reply.value().and_then(|body| body.get("id")?.as_str());
    match effect {
        Effect::KillMachine { death } => {
            if let Some(machine) = target_machine(world, route, created) {
                world.kill_machine(&machine, *death);
            }
        }
        Effect::LoseVolume => {
            if let Some(volume) = target_volume(world, route, created) {
                world.lose_volume(&volume);
            }
        }
        Effect::Stuck { state } => {
            if reply.status < 300
                && let Some(machine) = target_machine(world, route, created)
            {
                world.transition_to(&machine, *state, None);
            }
        }
        Effect::Invisible { millis } => {
            if let Some(created) = created {
                world.hide_for(created, Duration::from_millis(*millis));
            }
        }
        Effect::HostDown => {
            if let Some(machine) = target_machine(world, route, created) {
                world.set_host_down(&machine, true);
            }
        }
        Effect::Answer { .. }
        | Effect::ApplyThenAnswer { .. }
        | Effect::Delay { .. }
        | Effect::DropRequest
        | Effect::DropAnswer
        | Effect::Throttle { .. }
        | Effect::StaleList
        | Effect::EmptyList
        | Effect::ListsDeleted => {}
    }
}

/// Returns the machine that the call names or has created, or else the newest one of the app.
fn target_machine(world: &World, route: &Route, created: Option<&str>) -> Option<String> {
    match route.call {
        call if call.names_machine() => Some(route.id.clone()),
        Call::CreateMachine => created.map(str::to_owned),
        _ => world.newest_machine(&route.app),
    }
}

/// Returns the volume that the call names or has created, or else the newest one of the app.
fn target_volume(world: &World, route: &Route, created: Option<&str>) -> Option<String> {
    match route.call {
        call if call.names_volume() => Some(route.id.clone()),
        Call::CreateVolume => created.map(str::to_owned),
        _ => world.newest_volume(&route.app),
    }
}

fn reply_with(status: u16, body: Value) -> Reply {
    match body {
        Value::Null => Reply::empty(status),
        Value::String(text) => Reply::text(status, &text),
        body => Reply::json(status, body),
    }
}

/// Shortens the list in an answer. Lists are in the order of creation, oldest first.
fn shorten_list(mut reply: Reply, length: impl FnOnce(usize) -> usize) -> Reply {
    let list = match &mut reply.content {
        Content::List(entries) => {
            entries.truncate(length(entries.len()));
            return reply;
        }
        Content::Json(Value::Object(fields)) => fields.values_mut().find_map(Value::as_array_mut),
        Content::Json(body) => body.as_array_mut(),
        Content::Empty | Content::Text(_) | Content::Forwarded { .. } => None,
    };
    if let Some(list) = list {
        list.truncate(length(list.len()));
    }
    reply
}
