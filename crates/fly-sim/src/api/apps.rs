//! The calls on apps.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ApiRequest, orgs, secrets};
use crate::{
    api_error::ApiError,
    reply::Reply,
    rules,
    world::{App, AppAccess, World},
};

/// The scope of the idempotency keys of apps. No app has an empty name.
const APPS: &str = "";

pub(super) fn list(world: &World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let org = request.query("org_slug").ok_or_else(|| ApiError::invalid("org_slug is required"))?;
    orgs::check_org(world, org)?;
    let org = world.org(org);
    let apps = world.apps.values().filter(|app| app.access == AppAccess::Open && app.org_slug == org);
    let shown: Vec<Value> = apps
        .map(|app| {
            let whole = world.render_app(app);
            let kept = ["id", "name", "machine_count", "volume_count", "network"];
            kept.into_iter().map(|key| (key.to_owned(), whole[key].clone())).collect()
        })
        .collect();
    Ok(Reply::json(200, json!({ "total_apps": shown.len(), "apps": shown })))
}

pub(super) fn create(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let name = request.text("name").or_else(|| request.text("app_name"));
    if let Some(made) = already_made(world, request, name) {
        return made;
    }
    let name = name.ok_or(ApiError::AppNameInvalid)?;
    let org = request.text("org_slug").ok_or_else(|| ApiError::invalid("org_slug is required"))?;
    let org = world.org(org).to_owned();
    let network = request.text("network").unwrap_or("default").to_owned();
    add(world, name, org, network, AppAccess::Open)?;
    if let Some(key) = request.text("idempotency_key") {
        world.idempotent.insert((APPS.to_owned(), key.to_owned()), name.to_owned());
    }
    Ok(created(world, name))
}

fn created(world: &World, name: &str) -> Reply {
    let created_at = world.wall().timestamp_millis();
    Reply::json(201, json!({ "id": name, "created_at": created_at }))
}

/// Returns the answer to a create whose idempotency key was used before.
///
/// The same name, or none, gives the app of the first request. Another name is refused.
fn already_made(world: &World, request: &ApiRequest, name: Option<&str>) -> Option<Result<Reply, ApiError>> {
    let key = (APPS.to_owned(), request.text("idempotency_key")?.to_owned());
    let made = world.idempotent.get(&key)?;
    let app = world.apps.get(made)?;
    Some(match name {
        Some(other) if other != app.name => Err(ApiError::IdempotencyKeyReused),
        _ => Ok(created(world, &app.name)),
    })
}

/// Adds an app. The name must be unique in all of Fly.
pub(crate) fn add(
    world: &mut World,
    name: &str,
    org_slug: String,
    network: String,
    access: AppAccess,
) -> Result<(), ApiError> {
    if !rules::is_app_name(name) {
        return Err(ApiError::AppNameInvalid);
    }
    if world.apps.contains_key(name) {
        return Err(ApiError::AppNameTaken);
    }
    let app = App {
        name: name.to_owned(),
        org_slug,
        network,
        secrets: BTreeMap::new(),
        secrets_version: 0,
        access,
        was_deployed: false,
        ips: Vec::new(),
        hostnames: BTreeMap::new(),
        secret_keys: BTreeMap::new(),
    };
    world.apps.insert(name.to_owned(), app);
    if access == AppAccess::Open {
        for (secret, value) in world.settings.app_secrets.clone() {
            secrets::put(world, name, &secret, value)?;
        }
    }
    Ok(())
}

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    world.app(&request.route.app)?;
    let app = world.apps.get(&request.route.app).ok_or(ApiError::AppNotFound)?;
    Ok(Reply::json(200, world.render_app(app)))
}

/// Deletes an app with its machines, volumes and secrets.
pub(super) fn delete(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let name = &request.route.app;
    world.app(name)?;
    world.apps.remove(name);
    world.machines.remove_app(name);
    world.volumes.remove_app(name);
    world.snapshots.retain(|snapshot| snapshot.app != *name);
    world.idempotent.retain(|(scope, _), made| scope != name && made != name);
    Ok(Reply::empty(202))
}
