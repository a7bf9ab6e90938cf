//! The calls on volumes. Names are not unique, and a volume stays bound until its machine's destruction is complete.

use serde_json::{Value, json};

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    reply::Reply,
    rules,
    workload::Files,
    world::{HostStatus, Volume, World},
};

const DEFAULT_SIZE_GB: u64 = 3;
const MAX_SIZE_GB: u64 = 500;
const DEFAULT_RETENTION_DAYS: u64 = 5;

pub(super) fn list(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    world.app(&request.route.app)?;
    let lag = world.settings.timing.list_lag;
    let mut volumes: Vec<&Volume> = world
        .volumes
        .values()
        .filter(|volume| volume.app == request.route.app)
        .filter(|volume| volume.creation.at + lag <= world.now() && volume.visible_from <= world.now())
        .collect();
    volumes.sort_by_key(|volume| volume.creation);
    let shown = volumes.into_iter().map(|volume| {
        let mut shown = volume.render();
        if request.lists_deleted {
            shown["state"] = json!("created");
        }
        shown
    });
    Ok(Reply::json(200, shown.collect()))
}

pub(super) fn create(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    world.app(&request.route.app)?;
    let name = requested_name(request)?;
    let region = requested_region(request)?;
    let size_gb = request.number("size_gb").unwrap_or(DEFAULT_SIZE_GB);
    check_size(size_gb)?;
    if let Some(compute) = request.body.get("compute").filter(|compute| compute.is_object()) {
        rules::check_guest(compute).map_err(ApiError::invalid)?;
    }
    let files = copied_files(world, request)?;
    let volume = Volume {
        id: world.ids.volume(),
        app: request.route.app.clone(),
        name: name.to_owned(),
        region: region.to_owned(),
        zone: world.ids.zone(),
        size_gb,
        encrypted: request.boolean("encrypted").unwrap_or(true),
        fstype: request.text("fstype").unwrap_or("ext4").to_owned(),
        snapshot_retention: request.number("snapshot_retention").unwrap_or(DEFAULT_RETENTION_DAYS),
        auto_backup_enabled: request.boolean("auto_backup_enabled").unwrap_or(true),
        created_at: world.wall(),
        creation: world.next_creation(),
        visible_from: world.now() + world.settings.timing.read_lag,
        host: HostStatus::Up,
        claimed_by: None,
        deleted: false,
        files,
    };
    let shown = volume.render();
    world.volumes.insert(volume.id.clone(), volume);
    Ok(Reply::json(200, shown))
}

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let volume = world.visible_volume(&request.route.app, &request.route.id)?;
    Ok(Reply::json(200, volume.render()))
}

pub(super) fn update(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let volume = world.volume(&request.route.app, &request.route.id)?;
    if let Some(days) = request.number("snapshot_retention") {
        volume.snapshot_retention = days;
    }
    if let Some(enabled) = request.boolean("auto_backup_enabled") {
        volume.auto_backup_enabled = enabled;
    }
    Ok(Reply::json(200, volume.render()))
}

pub(super) fn delete(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let tombstone = world.settings.timing.volume_tombstone;
    let volume = world.volume(&request.route.app, &request.route.id)?;
    if let Some(machine) = &volume.claimed_by {
        return Err(ApiError::VolumeBound(machine.clone()));
    }
    let was_deleted = std::mem::replace(&mut volume.deleted, true);
    volume.files.clear();
    let shown = volume.render();
    if !was_deleted {
        world.schedule_volume_removal(&request.route.id, tombstone);
    }
    Ok(Reply::json(200, shown))
}

pub(super) fn extend(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let wanted = request.number("size_gb").ok_or_else(|| ApiError::invalid("size_gb is required"))?;
    check_size(wanted)?;
    let volume = world.volume(&request.route.app, &request.route.id)?;
    if wanted < volume.size_gb {
        return Err(ApiError::invalid("a volume cannot be shrunk"));
    }
    volume.size_gb = wanted;
    Ok(Reply::json(200, json!({ "volume": volume.render(), "needs_restart": false })))
}

fn requested_name(request: &ApiRequest) -> Result<&str, ApiError> {
    let name = request.text("name").ok_or_else(|| ApiError::invalid("name is required"))?;
    if rules::is_volume_name(name) {
        Ok(name)
    } else {
        let rule = "volume name must be at most 30 characters of lowercase letters, digits and underscores";
        Err(ApiError::invalid(rule))
    }
}

fn requested_region(request: &ApiRequest) -> Result<&str, ApiError> {
    let region = request.text("region").unwrap_or(rules::DEFAULT_REGION);
    if rules::is_region(region) { Ok(region) } else { Err(ApiError::invalid(format!("region '{region}' not found"))) }
}

fn check_size(size_gb: u64) -> Result<(), ApiError> {
    if (1..=MAX_SIZE_GB).contains(&size_gb) {
        Ok(())
    } else {
        Err(ApiError::invalid(format!("size_gb must be between 1 and {MAX_SIZE_GB}")))
    }
}

/// Returns the files of the source volume, for a fork.
fn copied_files(world: &mut World, request: &ApiRequest) -> Result<Files, ApiError> {
    match request.body.get("source_volume_id").and_then(Value::as_str) {
        None | Some("") => Ok(Files::new()),
        Some(source) => Ok(world.volume(&request.route.app, source)?.files.clone()),
    }
}
