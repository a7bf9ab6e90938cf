//! The calls on leases. Their answers have an envelope that the OpenAPI document omits.

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

/// The duration of a lease that is requested without one. Fly does not document its own default.
const DEFAULT_TTL: Duration = Duration::from_secs(120);
/// The only user.
pub(super) const OWNER: &str = "simulated@fly.example";

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    world.live_machine(&request.route.app, &request.route.id)?;
    let lease = active_lease(world, &request.route.id).ok_or(ApiError::LeaseNotFound)?;
    let data = render(world, &lease, false);
    Ok(envelope(200, &data))
}

/// Acquires a lease. A request with the nonce of the active lease extends it and keeps the nonce.
pub(super) fn acquire(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    check_lease(world, request)?;
    let ttl = requested_ttl(request)?;
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

fn requested_ttl(request: &ApiRequest) -> Result<Duration, ApiError> {
    let seconds = request.number("ttl").or_else(|| request.query("ttl")?.parse().ok());
    match seconds.map_or(DEFAULT_TTL, Duration::from_secs) {
        Duration::ZERO => Err(ApiError::invalid("ttl must be positive")),
        ttl => Ok(ttl),
    }
}

pub(super) fn release(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    check_lease(world, request)?;
    active_lease(world, &request.route.id).ok_or(ApiError::LeaseNotFound)?;
    world.live_machine(&request.route.app, &request.route.id)?.lease = None;
    Ok(envelope(200, &json!({ "ok": true })))
}

/// Refuses a change of a machine that is leased under another nonce.
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

/// Grants a lease and returns its nonce.
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

/// Returns the lease that has not expired.
fn active_lease(world: &World, id: &str) -> Option<Lease> {
    world.machines.get(id)?.lease.clone().filter(|lease| world.now() < lease.expires)
}

/// Renders a lease. The nonce is for the owner only.
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
