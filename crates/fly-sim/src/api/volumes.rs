//! The calls on volumes. Names are not unique, and a volume stays bound until its machine's destruction is complete.

use serde_json::json;

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    regions,
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
    let (lag, summary) = (world.settings.timing.list_lag, request.flag(&["summary"]));
    let mut volumes: Vec<&Volume> = world
        .volumes
        .values()
        .filter(|volume| volume.app == request.route.app)
        .filter(|volume| volume.creation.at + lag <= world.now() && volume.visible_from <= world.now())
        .collect();
    volumes.sort_by_key(|volume| volume.creation);
    let shown = volumes.into_iter().map(|volume| {
        let mut shown = if summary { volume.render_summary() } else { volume.render() };
        if request.lists_deleted {
            shown["state"] = json!("created");
        }
        shown
    });
    Ok(Reply::list(shown))
}

pub(super) fn create(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    world.app(&request.route.app)?;
    let name = requested_name(request)?;
    let snapshot_retention = request.number("snapshot_retention").unwrap_or(DEFAULT_RETENTION_DAYS);
    check_retention(snapshot_retention)?;
    let Origin { files, size_gb, region } = origin(world, request)?;
    check_size(size_gb)?;
    if let Some(compute) = request.body.get("compute").filter(|compute| compute.is_object()) {
        rules::check_guest(compute).map_err(ApiError::invalid)?;
    }
    let volume = Volume {
        id: world.ids.volume(),
        app: request.route.app.clone(),
        name: name.to_owned(),
        region,
        zone: world.ids.zone(),
        size_gb,
        encrypted: request.boolean("encrypted").unwrap_or(true),
        fstype: request.text("fstype").unwrap_or("ext4").to_owned(),
        snapshot_retention,
        auto_backup_enabled: request.boolean("auto_backup_enabled").unwrap_or(true),
        created_at: world.wall(),
        updated_at: world.wall(),
        creation: world.next_creation(),
        visible_from: world.now() + world.settings.timing.read_lag,
        host: HostStatus::Up,
        claimed_by: None,
        deleted: false,
        files,
    };
    let shown = volume.render();
    world.volumes.insert(volume);
    Ok(Reply::json(200, shown))
}

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let volume = world.visible_volume(&request.route.app, &request.route.id)?;
    Ok(Reply::json(200, volume.render()))
}

pub(super) fn update(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let at = world.wall();
    let volume = world.volume(&request.route.app, &request.route.id)?;
    if let Some(days) = request.number("snapshot_retention") {
        check_retention(days)?;
        volume.snapshot_retention = days;
    }
    volume.updated_at = at;
    if let Some(enabled) = request.boolean("auto_backup_enabled") {
        volume.auto_backup_enabled = enabled;
    }
    Ok(Reply::json(200, volume.render()))
}

pub(super) fn delete(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let (tombstone, at) = (world.settings.timing.volume_tombstone, world.wall());
    let volume = world.volume(&request.route.app, &request.route.id)?;
    if let Some(machine) = &volume.claimed_by {
        return Err(ApiError::VolumeBound(machine.clone()));
    }
    let was_deleted = std::mem::replace(&mut volume.deleted, true);
    volume.files.clear();
    volume.updated_at = at;
    let shown = volume.render();
    if !was_deleted {
        world.schedule_volume_removal(&request.route.id, tombstone);
    }
    Ok(Reply::json(200, shown))
}

pub(super) fn extend(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let wanted = request.number("size_gb").ok_or_else(|| ApiError::invalid("size_gb is required"))?;
    check_size(wanted)?;
    let at = world.wall();
    let volume = world.volume(&request.route.app, &request.route.id)?;
    if wanted < volume.size_gb {
        return Err(ApiError::invalid("a volume cannot be shrunk"));
    }
    volume.size_gb = wanted;
    volume.updated_at = at;
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
    let region = request.text("region").unwrap_or(regions::DEFAULT);
    if regions::is_code(region) { Ok(region) } else { Err(ApiError::invalid(format!("region '{region}' not found"))) }
}

fn check_size(size_gb: u64) -> Result<(), ApiError> {
    if (1..=MAX_SIZE_GB).contains(&size_gb) {
        Ok(())
    } else {
        Err(ApiError::invalid(format!("size_gb must be between 1 and {MAX_SIZE_GB}")))
    }
}

fn check_retention(days: u64) -> Result<(), ApiError> {
    let allowed = rules::SNAPSHOT_RETENTION_DAYS;
    if allowed.contains(&days) {
        Ok(())
    } else {
        let problem = format!("snapshot_retention must be between {} and {} days", allowed.start(), allowed.end());
        Err(ApiError::invalid(problem))
    }
}

/// The content and the place of a new volume.
struct Origin {
    files: Files,
    size_gb: u64,
    region: String,
}

/// Returns the origin of a new volume: empty, a fork of a volume, or restored from a snapshot.
///
/// A fork has the size of its source.
fn origin(world: &mut World, request: &ApiRequest) -> Result<Origin, ApiError> {
    let requested = requested_region(request)?.to_owned();
    let region = |source: String| if request.text("region").is_some() { requested.clone() } else { source };
    if let Some(source) = request.text("source_volume_id") {
        let source = world.volume(&request.route.app, source)?;
        if source.deleted {
            return Err(ApiError::VolumeNotFound);
        }
        let (files, size_gb) = (source.files.clone(), source.size_gb);
        return Ok(Origin { files, size_gb, region: region(source.region.clone()) });
    }
    if let Some(snapshot) = request.text("snapshot_id") {
        let snapshot = world.snapshot(&request.route.app, snapshot)?;
        let size_gb = request.number("size_gb").unwrap_or(snapshot.volume_size_gb);
        if size_gb < snapshot.volume_size_gb {
            return Err(ApiError::invalid("size_gb must not be smaller than the volume of the snapshot"));
        }
        return Ok(Origin { files: snapshot.files.clone(), size_gb, region: region(snapshot.region.clone()) });
    }
    let size_gb = request.number("size_gb").unwrap_or(DEFAULT_SIZE_GB);
    Ok(Origin { files: Files::new(), size_gb, region: requested })
}
