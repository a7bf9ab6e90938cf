//! Leases, in the envelope that the OpenAPI document leaves out.

use std::time::Duration;

use serde_json::{Value, json};

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    clock::rfc3339,
    machine_state::State,
    reply::Reply,
    world::{Lease, World},
};

/// The lease of a request that names no time; Fly's own default is not documented.
const DEFAULT_TTL: Duration = Duration::from_secs(120);
const OWNER: &str = "simulated@fly.example";

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    world.live_machine(&request.route.app, &request.route.id)?;
    let lease = active_lease(world, &request.route.id).ok_or(ApiError::LeaseNotFound)?;
    let data = render(world, &lease, false);
    Ok(envelope(200, &data))
}

/// Takes a lease, or with its nonce refreshes it: same nonce, new expiry.
pub(super) fn acquire(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    check_lease(world, request)?;
    let asked = request.number("ttl").or_else(|| request.query("ttl")?.parse().ok());
    let ttl = asked.map_or(DEFAULT_TTL, Duration::from_secs);
    if ttl.is_zero() {
        return Err(ApiError::invalid("ttl must be positive"));
    }
    let id = &request.route.id;
    let machine = world.live_machine(&request.route.app, id)?;
    if machine.state == State::Destroying {
        return Err(ApiError::MachineNotFound);
    }
    match active_lease(world, id) {
        Some(lease) => {
            let expires = world.now() + ttl;
            if let Some(machine) = world.machines.get_mut(id) {
                machine.lease = Some(Lease { expires, ..lease });
            }
        }
        None => {
            grant(world, id, ttl, request.text("description").unwrap_or_default());
        }
    }
    let lease = active_lease(world, id).ok_or(ApiError::LeaseNotFound)?;
    let data = render(world, &lease, true);
    Ok(envelope(201, &data))
}

pub(super) fn release(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    check_lease(world, request)?;
    active_lease(world, &request.route.id).ok_or(ApiError::LeaseNotFound)?;
    world.live_machine(&request.route.app, &request.route.id)?.lease = None;
    Ok(envelope(200, &json!({ "ok": true })))
}

/// Refuses a change of a machine that somebody else has leased.
pub(super) fn check_lease(world: &mut World, request: &ApiRequest) -> Result<(), ApiError> {
    world.machine(&request.route.app, &request.route.id)?;
    match active_lease(world, &request.route.id) {
        Some(lease) if request.nonce.as_deref() != Some(&lease.nonce) => Err(ApiError::LeaseHeld {
            id: request.route.id.clone(),
            owner: lease.owner,
            until: rfc3339(world.wall_at(lease.expires)),
        }),
        _ => Ok(()),
    }
}

/// Gives out a lease; its nonce.
pub(super) fn grant(world: &mut World, id: &str, ttl: Duration, description: &str) -> String {
    let nonce = world.ids.nonce();
    let expires = world.now() + ttl;
    if let Some(machine) = world.machines.get_mut(id) {
        machine.lease = Some(Lease {
            nonce: nonce.clone(),
            owner: OWNER.to_owned(),
            description: description.to_owned(),
            expires,
            version: machine.version.clone(),
        });
    }
    nonce
}

/// The lease that has not run out.
fn active_lease(world: &World, id: &str) -> Option<Lease> {
    world.machines.get(id)?.lease.clone().filter(|lease| world.now() < lease.expires)
}

/// Only who takes a lease learns its nonce.
fn render(world: &World, lease: &Lease, with_nonce: bool) -> Value {
    let mut shown = json!({
        "expires_at": world.wall_at(lease.expires).timestamp(), "owner": lease.owner,
        "description": lease.description, "version": lease.version,
    });
    if with_nonce {
        shown["nonce"] = json!(lease.nonce);
    }
    shown
}

fn envelope(status: u16, data: &Value) -> Reply {
    Reply::json(status, json!({ "status": "success", "data": data }))
}
