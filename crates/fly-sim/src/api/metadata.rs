//! The calls on a machine's metadata. A change needs no reboot, no new version and no lease.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ApiRequest;
use crate::{api_error::ApiError, reply::Reply, world::World};

pub(super) fn all(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    Ok(Reply::json(200, json!(read(world, request)?)))
}

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let metadata = read(world, request)?;
    let value = metadata.get(&request.route.key).ok_or(ApiError::MetadataKeyNotFound)?;
    Ok(Reply::json(200, json!({ "value": value })))
}

pub(super) fn set(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let value = request.body.get("value").and_then(Value::as_str);
    let value = value.ok_or_else(|| ApiError::invalid("value is required"))?;
    change(world, request, &Map::from_iter([(request.route.key.clone(), json!(value))]))
}

pub(super) fn delete(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    change(world, request, &Map::from_iter([(request.route.key.clone(), Value::Null)]))
}

/// Changes several keys. `PUT` and `PATCH` both change the named keys only.
pub(super) fn update(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let changes = request.body.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let machine = world.live_machine(&request.route.app, &request.route.id)?;
    if request.text("machine_version").is_some_and(|expected| expected != machine.version) {
        return Err(ApiError::StaleMetadataVersion);
    }
    change(world, request, &changes)
}

fn read(world: &mut World, request: &ApiRequest) -> Result<BTreeMap<String, String>, ApiError> {
    Ok(world.machine(&request.route.app, &request.route.id)?.string_map("metadata"))
}

/// Sets and removes keys. A null or empty value removes its key.
fn change(world: &mut World, request: &ApiRequest, changes: &Map<String, Value>) -> Result<Reply, ApiError> {
    let machine = world.live_machine(&request.route.app, &request.route.id)?;
    let mut metadata = machine.string_map("metadata");
    for (key, value) in changes {
        match value.as_str() {
            None | Some("") => metadata.remove(key),
            Some(value) => metadata.insert(key.clone(), value.to_owned()),
        };
    }
    machine.config.insert("metadata".to_owned(), json!(metadata));
    Ok(Reply::empty(204))
}
