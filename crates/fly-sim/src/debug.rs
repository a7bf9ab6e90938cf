//! `/_sim`: the simulator's own door, for tests in other processes. Not part of Fly.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    death::Death,
    faults::Fault,
    gateway::{Gateway, locked},
    refusal::Refusal,
    reply::Reply,
    seed::{MachineSeed, VolumeSeed},
    snapshot,
    world::World,
};

/// - `GET /_sim/world`: apps, machines and volumes (gone ones marked), calls, violations
/// - `POST /_sim/faults`: one fault or a list; `DELETE /_sim/faults`: clears the schedule
/// - `POST /_sim/apps/{app}/access` with `"open"`, `"not_found"` or `"forbidden"`
/// - `POST /_sim/machines`, `POST /_sim/volumes`: puts one there, past the API
/// - `POST /_sim/machines/{id}/kill` with `{"death": "stays"}`, `…/host-down`, `…/host-up`
/// - `POST /_sim/volumes/{id}/lose`
pub(crate) fn answer(gateway: &Gateway, method: &str, path: &str, body: &[u8]) -> Reply {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["world"]) => Reply::json(200, world(gateway)),
        ("POST", ["faults"]) => add_faults(gateway, body),
        ("DELETE", ["faults"]) => {
            locked(&gateway.faults).clear();
            Reply::empty(204)
        }
        ("POST", ["apps", app, "access"]) => match serde_json::from_slice(body) {
            Ok(access) => found(gateway.world.change(|world| world.set_access(app, access))),
            Err(error) => misread(&error),
        },
        ("POST", ["machines"]) => planted(gateway, body, MachineSeed::plant),
        ("POST", ["volumes"]) => planted(gateway, body, VolumeSeed::plant),
        ("POST", ["machines", id, "kill"]) => match death(body) {
            Ok(death) => found(gateway.world.change(|world| world.kill(id, death))),
            Err(error) => misread(&error),
        },
        ("POST", ["machines", id, "host-down"]) => found(gateway.world.change(|world| world.set_host_down(id, true))),
        ("POST", ["machines", id, "host-up"]) => found(gateway.world.change(|world| world.set_host_down(id, false))),
        ("POST", ["volumes", id, "lose"]) => found(gateway.world.change(|world| world.lose(id))),
        _ => Reply::text(404, "404 page not found"),
    }
}

fn world(gateway: &Gateway) -> Value {
    let (apps, machines, volumes) = gateway.world.look(|world| {
        let apps: Vec<Value> = world.apps.values().map(|app| world.render_app(app)).collect();
        (apps, snapshot::machines(world), snapshot::volumes(world))
    });
    json!({
        "apps": apps, "machines": machines, "volumes": volumes,
        "calls": locked(&gateway.journal).records(), "violations": *locked(&gateway.violations),
    })
}

fn add_faults(gateway: &Gateway, body: &[u8]) -> Reply {
    let given = serde_json::from_slice::<Vec<Fault>>(body)
        .or_else(|_| serde_json::from_slice::<Fault>(body).map(|fault| vec![fault]));
    match given {
        Ok(faults) => {
            let mut plan = locked(&gateway.faults);
            for fault in faults {
                plan.add(fault);
            }
            Reply::empty(204)
        }
        Err(error) => misread(&error),
    }
}

fn planted<Seed: DeserializeOwned>(
    gateway: &Gateway,
    body: &[u8],
    plant: fn(&Seed, &mut World) -> Result<String, Refusal>,
) -> Reply {
    match serde_json::from_slice::<Seed>(body) {
        Ok(seed) => match gateway.world.change(|world| plant(&seed, world)) {
            Ok(id) => Reply::json(201, json!({ "id": id })),
            Err(refusal) => refusal.into(),
        },
        Err(error) => misread(&error),
    }
}

fn misread(error: &serde_json::Error) -> Reply {
    Reply::json(400, json!({ "error": error.to_string() }))
}

fn death(body: &[u8]) -> Result<Death, serde_json::Error> {
    if body.is_empty() {
        return Ok(Death::default());
    }
    let body: Value = serde_json::from_slice(body)?;
    body.get("death").map_or(Ok(Death::default()), |death| serde_json::from_value(death.clone()))
}

fn found(there_was_one: bool) -> Reply {
    if there_was_one { Reply::empty(204) } else { Reply::text(404, "no such thing") }
}
