//! The calls on the snapshots of a volume. A snapshot is complete at once.

use serde_json::{Value, json};

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    clock::rfc3339,
    image,
    reply::Reply,
    world::{Snapshot, World},
};

pub(super) fn list(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let (app, volume) = (&request.route.app, &request.route.id);
    world.volume(app, volume)?;
    let snapshots = world.snapshots.iter().filter(|snapshot| snapshot.app == *app && snapshot.volume == *volume);
    let shown: Vec<Value> = snapshots.map(render).collect();
    Ok(Reply::json(200, Value::Array(shown)))
}

pub(super) fn create(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let (id, created_at) = (world.ids.snapshot(), world.wall());
    let volume = world.volume(&request.route.app, &request.route.id)?;
    if volume.deleted {
        return Err(ApiError::VolumeNotFound);
    }
    let snapshot = Snapshot {
        id,
        app: volume.app.clone(),
        volume: volume.id.clone(),
        region: volume.region.clone(),
        volume_size_gb: volume.size_gb,
        retention_days: volume.snapshot_retention,
        created_at,
        files: volume.files.clone(),
    };
    world.snapshots.push(snapshot);
    Ok(Reply::empty(200))
}

fn render(snapshot: &Snapshot) -> Value {
    let size: usize = snapshot.files.values().map(Vec::len).sum();
    json!({
        "id": snapshot.id, "status": "created", "size": size, "volume_size": snapshot.volume_size_gb << 30,
        "digest": image::digest_of(&snapshot.id), "created_at": rfc3339(snapshot.created_at),
        "retention_days": snapshot.retention_days,
    })
}
