//! The entities of the world: what is there, and what happens to it without a call of Fly's API.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{error, found, with_body};
use crate::{
    api_error::ApiError,
    death::Death,
    reply::Reply,
    seed::{MachineSeed, VolumeSeed},
    sim_state::SimState,
    snapshot,
    world::World,
};

/// The body of a `kill`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    #[serde(default)]
    death: Death,
}

pub(super) fn answer(state: &SimState, method: &str, segments: &[&str], body: &[u8]) -> Option<Reply> {
    let world = &state.world;
    if let ["machines", id, "attachment"] = segments {
        return attachment(state, method, id, body);
    }
    if method != "POST" {
        return None;
    }
    Some(match segments {
        ["apps", app, "access"] => {
            with_body(body, |access| found(world.update(|world| world.set_app_access(app, access))))
        }
        ["machines"] => create(state, body, MachineSeed::create_in),
        ["volumes"] => create(state, body, VolumeSeed::create_in),
        ["machines", id, "kill"] => {
            with_body(body, |kill: Kill| found(world.update(|world| world.kill_machine(id, kill.death))))
        }
        ["machines", id, "host-down"] => found(world.update(|world| world.set_host_down(id, true))),
        ["machines", id, "host-up"] => found(world.update(|world| world.set_host_down(id, false))),
        ["volumes", id, "lose"] => found(world.update(|world| world.lose_volume(id))),
        ["volumes", id, "migrate"] => match world.update(|world| world.migrate_volume(id)) {
            Some(copy) => Reply::json(200, json!({ "id": copy })),
            None => found(false),
        },
        _ => return None,
    })
}

/// A program that is attached to a machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attachment {
    url: String,
}

fn attachment(state: &SimState, method: &str, id: &str, body: &[u8]) -> Option<Reply> {
    match method {
        "GET" => Some(match state.attachment(id) {
            Some(url) => Reply::json(200, json!({ "url": url })),
            None => found(false),
        }),
        "PUT" if !state.world.read(|world| world.machines.contains_key(id)) => Some(found(false)),
        "PUT" => Some(with_body(body, |Attachment { url }| match state.attach(id, &url) {
            Ok(()) => Reply::empty(204),
            Err(cause) => error(400, &cause.to_string()),
        })),
        "DELETE" => Some(found(state.detach(id))),
        _ => None,
    }
}

/// Returns the apps, machines and volumes, including deleted ones, with the calls and the violations.
pub(super) fn world(state: &SimState) -> Value {
    let (apps, machines, volumes) = state.world.read(|world| {
        let apps: Vec<Value> = world.apps.values().map(|app| world.render_app(app)).collect();
        (apps, snapshot::machines(world), snapshot::volumes(world))
    });
    json!({
        "apps": apps, "machines": machines, "volumes": volumes,
        "calls": *state.calls(), "violations": state.violations(),
    })
}

fn create<Seed: DeserializeOwned>(
    state: &SimState,
    body: &[u8],
    create: fn(&Seed, &mut World) -> Result<String, ApiError>,
) -> Reply {
    with_body(body, |seed| match state.world.update(|world| create(&seed, world)) {
        Ok(id) => Reply::json(201, json!({ "id": id })),
        Err(error) => error.into(),
    })
}
