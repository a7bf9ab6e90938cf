//! The call that creates machines.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::{ApiRequest, leases, secrets};
use crate::{
    api_error::ApiError,
    image::Image,
    machine_state::State,
    regions,
    reply::Reply,
    rules,
    workload::Files,
    world::{Machine, Secret, Transition, World, mount_of},
};

pub(super) fn create(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let secrets = secrets::for_new_version(world.app(&request.route.app)?, request)?;
    if let Some(made) = already_made(world, request) {
        return Ok(made);
    }
    let config = parse_config(&request.body)?;
    let name = resolve_name(world, request)?;
    let region = resolve_region(world, request, &config)?;
    check_machine_limit(world)?;

    let id = insert(world, Spec { app: request.route.app.clone(), name, region, config, secrets });
    world.transition_to(&id, State::Created, Some(first_transition(world, request)));
    world.record_event(&id, "launch", "user", None);
    if let Some(key) = request.text("idempotency_key") {
        world.idempotent.insert((request.route.app.clone(), key.to_owned()), id.clone());
    }
    let nonce = request.number("lease_ttl").map(|ttl| leases::grant(world, &id, Duration::from_secs(ttl), ""));
    Ok(machine_reply(world, &id, nonce))
}

/// Returns the answer of an earlier create with the same idempotency key.
fn already_made(world: &World, request: &ApiRequest) -> Option<Reply> {
    let key = (request.route.app.clone(), request.text("idempotency_key")?.to_owned());
    let id = world.idempotent.get(&key)?;
    world.machines.contains_key(id).then(|| machine_reply(world, id, None))
}

/// The properties of a new machine.
struct Spec {
    app: String,
    name: String,
    region: String,
    config: Map<String, Value>,
    secrets: BTreeMap<String, Secret>,
}

/// Adds a machine, claims its volume, and returns its id.
fn insert(world: &mut World, spec: Spec) -> String {
    let Spec { app, name, region, config, secrets } = spec;
    let at = world.wall();
    let id = world.ids.machine();
    let version = world.ids.ulid(at);
    if let Some((volume, _)) = mount_of(&config)
        && let Some(volume) = world.volumes.get_mut(volume)
    {
        volume.claimed_by = Some(id.clone());
    }
    let machine = Machine {
        id: id.clone(),
        app,
        name,
        region,
        state: State::Created,
        last_live_state: State::Created,
        private_ip: world.ids.private_ip(),
        created_at: at,
        updated_at: at,
        creation: world.next_creation(),
        visible_from: world.now() + world.settings.timing.read_lag,
        version: version.clone(),
        versions: vec![(version, config.clone())],
        config,
        events: VecDeque::new(),
        lease: None,
        cordoned: false,
        secrets,
        schedule_version: 0,
        active_until: None,
        restarts: 0,
        rootfs: Files::new(),
        memory_limit_mb: None,
        host_down: false,
        deferred: None,
        program: None,
    };
    if let Some(app) = world.apps.get_mut(&machine.app) {
        app.was_deployed = true;
    }
    world.machines.insert(machine);
    id
}

/// Answers with the machine and the nonce of a lease that was granted with the call.
pub(super) fn machine_reply(world: &World, id: &str, nonce: Option<String>) -> Reply {
    let mut machine = world.machines.get(id).map(|machine| machine.render(false)).unwrap_or_default();
    if let Some(nonce) = nonce {
        machine["nonce"] = json!(nonce);
    }
    Reply::json(200, machine)
}

/// Parses and checks the configuration of a create or an update. Null fields are the same as absent ones.
pub(super) fn parse_config(body: &Value) -> Result<Map<String, Value>, ApiError> {
    let config =
        body.get("config").and_then(Value::as_object).ok_or_else(|| ApiError::invalid("config is required"))?;
    let config: Map<String, Value> =
        config.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), value.clone())).collect();
    match config.get("image").and_then(Value::as_str).unwrap_or_default() {
        "" => return Err(ApiError::invalid("config.image is required")),
        image => Image::parse(image).map_err(ApiError::invalid)?,
    };
    check_schedule(&config)?;
    if let Some(guest) = config.get("guest") {
        rules::check_guest(guest).map_err(ApiError::invalid)?;
    }
    check_mounts(&config)?;
    Ok(config)
}

fn check_schedule(config: &Map<String, Value>) -> Result<(), ApiError> {
    match config.get("schedule").and_then(Value::as_str).unwrap_or_default() {
        "" => Ok(()),
        schedule if rules::SCHEDULES.contains(&schedule) => Ok(()),
        other => Err(ApiError::invalid(format!(
            "invalid config.schedule '{other}', must be one of {}",
            rules::SCHEDULES.join(", ")
        ))),
    }
}

fn check_mounts(config: &Map<String, Value>) -> Result<(), ApiError> {
    let Some(mounts) = config.get("mounts").and_then(Value::as_array) else { return Ok(()) };
    if mounts.len() > 1 {
        return Err(ApiError::invalid("only one mount is allowed per machine"));
    }
    if !mounts.is_empty() && mount_of(config).is_none_or(|(_, path)| !path.starts_with('/')) {
        return Err(ApiError::invalid("config.mounts needs a volume and an absolute path"));
    }
    Ok(())
}

/// Returns the requested name if it is free, or a generated one. Names of destroyed machines are free.
fn resolve_name(world: &mut World, request: &ApiRequest) -> Result<String, ApiError> {
    let Some(name) = request.text("name") else { return Ok(world.ids.machine_name()) };
    if !rules::is_machine_name(name) {
        return Err(ApiError::invalid("name must be at most 63 lowercase letters, digits and dashes"));
    }
    match world.machines.named(&request.route.app, name) {
        Some(holder) => Err(ApiError::MachineNameTaken { id: holder.id.clone(), name: name.to_owned() }),
        None => Ok(name.to_owned()),
    }
}

/// Returns the region of the machine, which is that of its volume. The volume must exist and be free.
fn resolve_region(world: &mut World, request: &ApiRequest, config: &Map<String, Value>) -> Result<String, ApiError> {
    let requested = requested_region(request)?;
    let Some((volume, _)) = mount_of(config) else {
        return Ok(requested.unwrap_or(regions::DEFAULT).to_owned());
    };
    let volume = world.volume(&request.route.app, volume)?;
    if volume.deleted {
        return Err(ApiError::VolumeNotFound);
    }
    if let Some(holder) = &volume.claimed_by {
        return Err(ApiError::VolumeClaimed(holder.clone()));
    }
    match requested {
        Some(requested) if requested != volume.region => Err(ApiError::invalid(format!(
            "the machine cannot be in region '{requested}', because its volume is in '{}'",
            volume.region
        ))),
        _ => Ok(volume.region.clone()),
    }
}

fn requested_region(request: &ApiRequest) -> Result<Option<&'static str>, ApiError> {
    let Some(preferences) = request.text("region") else { return Ok(None) };
    let region = regions::preferred(preferences);
    region.map(Some).ok_or_else(|| ApiError::invalid(format!("region '{preferences}' not found")))
}

fn check_machine_limit(world: &World) -> Result<(), ApiError> {
    match world.settings.machine_limit {
        Some(limit) if world.machines.existing() >= limit => Err(ApiError::MachineLimit),
        _ => Ok(()),
    }
}

fn first_transition(world: &World, request: &ApiRequest) -> (Duration, Transition) {
    let timing = &world.settings.timing;
    if request.boolean("skip_launch").unwrap_or(false) {
        (timing.prepare, Transition::Prepared)
    } else {
        (timing.launch, Transition::Launch)
    }
}
