//! The simulator's own API under `/_sim`, for tests in other processes. It is not part of Fly.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    api_error::ApiError,
    death::Death,
    faults::Fault,
    reply::Reply,
    seed::{MachineSeed, VolumeSeed},
    sim_state::SimState,
    snapshot,
    world::World,
};

/// Answers a call of the control API.
///
/// - `GET /_sim/world`: the apps, machines and volumes, including deleted ones, the calls and the violations
/// - `GET /_sim/calls/{number}`: the calls after the one with this number, counted from 1
/// - `POST /_sim/faults`: schedules one fault or a list of faults
/// - `DELETE /_sim/faults`: clears the schedule
/// - `POST /_sim/apps/{app}/access` with `"open"`, `"not_found"` or `"forbidden"`
/// - `POST /_sim/machines`, `POST /_sim/volumes`: creates a machine or volume without an API call
/// - `POST /_sim/machines/{id}/kill` with `{"death": "stays"}`
/// - `POST /_sim/machines/{id}/host-down`, `POST /_sim/machines/{id}/host-up`
/// - `POST /_sim/volumes/{id}/lose`
pub(crate) fn answer(state: &SimState, method: &str, path: &str, body: &[u8]) -> Reply {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let world = &state.world;
    match (method, segments.as_slice()) {
        ("GET", ["world"]) => Reply::json(200, render_world(state)),
        ("GET", ["calls", after]) => calls_after(state, after),
        ("POST", ["faults"]) => inject(state, body),
        ("DELETE", ["faults"]) => {
            state.clear_faults();
            Reply::empty(204)
        }
        ("POST", ["apps", app, "access"]) => {
            with_body(body, |access| found(world.update(|world| world.set_app_access(app, access))))
        }
        ("POST", ["machines"]) => create(state, body, MachineSeed::create_in),
        ("POST", ["volumes"]) => create(state, body, VolumeSeed::create_in),
        ("POST", ["machines", id, "kill"]) => {
            let body = if body.is_empty() { b"{}" } else { body };
            with_body(body, |kill: Kill| found(world.update(|world| world.kill_machine(id, kill.death))))
        }
        ("POST", ["machines", id, "host-down"]) => found(world.update(|world| world.set_host_down(id, true))),
        ("POST", ["machines", id, "host-up"]) => found(world.update(|world| world.set_host_down(id, false))),
        ("POST", ["volumes", id, "lose"]) => found(world.update(|world| world.lose_volume(id))),
        _ => Reply::text(404, "404 page not found"),
    }
}

/// The body of a `kill`.
#[derive(Deserialize)]
struct Kill {
    #[serde(default)]
    death: Death,
}

fn render_world(state: &SimState) -> Value {
    let (apps, machines, volumes) = state.world.read(|world| {
        let apps: Vec<Value> = world.apps.values().map(|app| world.render_app(app)).collect();
        (apps, snapshot::machines(world), snapshot::volumes(world))
    });
    json!({
        "apps": apps, "machines": machines, "volumes": volumes,
        "calls": state.calls(), "violations": state.violations(),
    })
}

fn calls_after(state: &SimState, after: &str) -> Reply {
    match after.parse() {
        Ok(after) => Reply::json(200, json!({ "calls": state.calls_after(after) })),
        Err(_) => Reply::text(400, "the number of a call is expected"),
    }
}

fn inject(state: &SimState, body: &[u8]) -> Reply {
    let faults = serde_json::from_slice::<Vec<Fault>>(body)
        .or_else(|_| serde_json::from_slice::<Fault>(body).map(|fault| vec![fault]));
    match faults {
        Ok(faults) => {
            if let Some(unknown) = faults.iter().filter_map(|fault| fault.call).find(|call| !state.knows(*call)) {
                return Reply::json(400, json!({ "error": format!("there is no call {unknown:?}") }));
            }
            for fault in faults {
                state.inject(fault);
            }
            Reply::empty(204)
        }
        Err(error) => invalid_body(&error),
    }
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

/// Parses the body and answers the call, or reports why the body is invalid.
fn with_body<Body: DeserializeOwned>(body: &[u8], answer: impl FnOnce(Body) -> Reply) -> Reply {
    match serde_json::from_slice(body) {
        Ok(body) => answer(body),
        Err(error) => invalid_body(&error),
    }
}

fn invalid_body(error: &serde_json::Error) -> Reply {
    Reply::json(400, json!({ "error": error.to_string() }))
}

fn found(found: bool) -> Reply {
    if found { Reply::empty(204) } else { Reply::text(404, "not found") }
}
