//! The API of a sandbox: health, rigs, sync.

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::rigs::{self, Rig};
use crate::{
    clock::rfc3339,
    machine_state::State,
    reply::Reply,
    route::{Call, Route},
    sandbox_process::Sandbox,
    world::{Machine, World},
};

/// Checks the caller's key. Returns the error answer of Fly's proxy or of the sandbox.
pub(crate) fn authorize(world: &World, route: &Route, key: Option<&str>) -> Result<(), Reply> {
    let sandbox = serving(world, route)?;
    let given = key.unwrap_or_default().as_bytes();
    if bool::from(given.ct_eq(sandbox.key.expose_secret().as_bytes())) {
        Ok(())
    } else {
        Err(problem(401, "unauthorized", "x-internal-api-key is missing or wrong"))
    }
}

/// Answers an authorized call.
pub(crate) fn answer(world: &mut World, route: &Route, query: &[(String, String)], body: &Value) -> Reply {
    let sandbox = match serving(world, route) {
        Ok(sandbox) => sandbox,
        Err(reply) => return reply,
    };
    let Some(volume) = sandbox.volume.clone() else {
        return problem(503, "not_ready", "no volume is mounted for the town's data");
    };
    match route.call {
        Call::SandboxHealth => health(world, route, sandbox),
        Call::SandboxListRigs => Reply::json(200, json!({ "rigs": rigs_on(world, &volume) })),
        Call::SandboxAddRig => add_rig(world, &volume, body),
        Call::SandboxRemoveRig => {
            let force = query.iter().any(|(name, value)| name == "force" && value == "true");
            remove_rig(world, &volume, &route.key, force)
        }
        Call::SandboxSync => sync(world, &volume),
        _ => problem(404, "not_found", "no such route"),
    }
}

/// Returns the sandbox on the machine, or the error answer of the proxy in front of it.
fn serving<'world>(world: &'world World, route: &Route) -> Result<&'world Sandbox, Reply> {
    let machine = world.machines.get(&route.id).filter(|machine| machine.app == route.app);
    let Some(machine) = machine.filter(|machine| !machine.is_destroyed_or_destroying()) else {
        return Err(Reply::text(502, "machine not found"));
    };
    if machine.state != State::Started {
        return Err(Reply::text(503, "machine is not running"));
    }
    if machine.host_down {
        return Err(Reply::text(502, "host unreachable"));
    }
    machine.sandbox.as_ref().ok_or_else(|| Reply::text(502, "connection refused"))
}

fn health(world: &World, route: &Route, sandbox: &Sandbox) -> Reply {
    let image = world.machines.get(&route.id).map(Machine::image).unwrap_or_default();
    let mut health = json!({ "status": "ok", "townId": sandbox.town_id, "version": image });
    if let Some(expiry) = sandbox.token_expires_at {
        health["tokenExpiresAt"] = json!(rfc3339(expiry));
    }
    Reply::json(200, health)
}

fn rigs_on(world: &World, volume: &str) -> Vec<Rig> {
    world.volumes.get(volume).map(|volume| rigs::read(&volume.files)).unwrap_or_default()
}

fn add_rig(world: &mut World, volume: &str, body: &Value) -> Reply {
    let rig: Rig = match serde_json::from_value(body.clone()) {
        Ok(rig) => rig,
        Err(error) => return problem(400, "bad_request", &error.to_string()),
    };
    if !rig.is_valid() || world.settings.sandbox.refuses(&rig.repo_url) {
        return problem(422, "rig_refused", "the repository cannot be added as a rig");
    }
    let mut rigs = rigs_on(world, volume);
    match rigs.iter().find(|present| present.name.eq_ignore_ascii_case(&rig.name)) {
        Some(present) if present.repo_url == rig.repo_url => return Reply::json(200, json!(present)),
        Some(_) => return problem(409, "rig_exists", "a rig with this name exists for another repository"),
        None => {}
    }
    let branch = rig.branch.clone().unwrap_or_else(|| world.settings.sandbox.default_branch(&rig.repo_url).to_owned());
    let rig = Rig { branch: Some(branch), ..rig };
    rigs.push(rig.clone());
    store(world, volume, &rigs, Reply::json(201, json!(rig)))
}

fn remove_rig(world: &mut World, volume: &str, name: &str, force: bool) -> Reply {
    let mut rigs = rigs_on(world, volume);
    let Some(at) = rigs.iter().position(|rig| rig.name.eq_ignore_ascii_case(name)) else {
        return problem(404, "rig_not_found", "rig not found");
    };
    if !force && world.settings.sandbox.has_unpushed_work(&rigs[at].repo_url) {
        let in_the_way = json!([format!("{name}: 2 commits not pushed")]);
        let message = "the rig has unpushed work";
        return Reply::json(
            409,
            json!({ "error": { "code": "rig_in_use", "message": message, "inTheWay": in_the_way } }),
        );
    }
    rigs.remove(at);
    store(world, volume, &rigs, Reply::empty(204))
}

fn sync(world: &mut World, volume: &str) -> Reply {
    let now = rfc3339(world.wall());
    let Some(volume) = world.volumes.get_mut(volume) else {
        return problem(503, "not_ready", "the volume does not exist");
    };
    volume.files.insert("last_sync".to_owned(), now.clone().into_bytes());
    Reply::json(200, json!({ "syncedAt": now }))
}

fn store(world: &mut World, volume: &str, rigs: &[Rig], success: Reply) -> Reply {
    let written = world.volumes.get_mut(volume).map(|volume| rigs::write(&mut volume.files, rigs));
    match written {
        Some(Ok(())) => success,
        Some(Err(_)) | None => problem(503, "not_ready", "the volume cannot be written"),
    }
}

fn problem(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, json!({ "error": { "code": code, "message": message } }))
}
