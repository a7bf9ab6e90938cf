//! The calls on an app's secrets, with the version that counts their changes.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    reply::Reply,
    rules,
    world::{App, Secret, World},
};

pub(super) fn list(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let show = request.flag(&["show_secrets"]);
    let app = at_version(world, request)?;
    let secrets: Vec<Value> = app.secrets.iter().map(|(name, secret)| render(name, secret, show)).collect();
    Ok(Reply::json(200, json!({ "secrets": secrets })))
}

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let show = request.flag(&["show_secrets"]);
    let name = &request.route.key;
    let app = at_version(world, request)?;
    let secret = app.secrets.get(name).ok_or(ApiError::SecretNotFound)?;
    Ok(Reply::json(200, render(name, secret, show)))
}

pub(super) fn set(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let value = request.text("value").ok_or_else(|| ApiError::invalid("value is required"))?;
    let name = &request.route.key;
    let version = put(world, &request.route.app, name, SecretString::from(value))?;
    let app = world.app(&request.route.app)?;
    let mut shown = app.secrets.get(name).map(|secret| secret.render(name)).unwrap_or_default();
    shown["version"] = json!(version);
    shown["Version"] = json!(version);
    Ok(Reply::json(201, shown))
}

pub(super) fn delete(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let app = world.app(&request.route.app)?;
    app.secrets.remove(&request.route.key).ok_or(ApiError::SecretNotFound)?;
    app.secrets_version += 1;
    Ok(Reply::json(200, json!({ "version": app.secrets_version, "Version": app.secrets_version })))
}

pub(super) fn update(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let values = request.body.get("values").and_then(Value::as_object).cloned().unwrap_or_default();
    world.app(&request.route.app)?;
    if let Some(name) = values.keys().find(|name| !rules::is_secret_name(name)) {
        return Err(ApiError::invalid(format!("'{name}' is not a valid secret name")));
    }
    for (name, value) in &values {
        match value.as_str() {
            Some(value) => {
                put(world, &request.route.app, name, SecretString::from(value))?;
            }
            None => {
                world.app(&request.route.app)?.secrets.remove(name);
            }
        }
    }
    let app = world.app(&request.route.app)?;
    app.secrets_version += 1;
    let secrets: Vec<Value> = app.secrets.iter().map(|(name, secret)| secret.render(name)).collect();
    let version = app.secrets_version;
    Ok(Reply::json(200, json!({ "secrets": secrets, "version": version, "Version": version })))
}

/// Sets a secret and returns the new version of the app's secrets.
pub(crate) fn put(world: &mut World, app: &str, name: &str, value: SecretString) -> Result<u64, ApiError> {
    if !rules::is_secret_name(name) {
        return Err(ApiError::invalid(format!("'{name}' is not a valid secret name")));
    }
    let now = world.wall();
    let app = world.app(app)?;
    let mut digest = DefaultHasher::new();
    value.expose_secret().hash(&mut digest);
    let created_at = app.secrets.get(name).map_or(now, |old| old.created_at);
    let secret = Secret { value, digest: format!("{:016x}", digest.finish()), created_at, updated_at: now };
    app.secrets.insert(name.to_owned(), secret);
    app.secrets_version += 1;
    Ok(app.secrets_version)
}

/// Returns the secrets of a new version of a machine, as `min_secrets_version` and `skip_secrets` request them.
pub(super) fn for_new_version(app: &App, request: &ApiRequest) -> Result<BTreeMap<String, Secret>, ApiError> {
    check_version(app, request.number("min_secrets_version"))?;
    let skip = request.boolean("skip_secrets").unwrap_or(false);
    Ok(if skip { BTreeMap::new() } else { app.secrets.clone() })
}

/// Refuses a version of the app's secrets that does not exist.
fn check_version(app: &App, wanted: Option<u64>) -> Result<(), ApiError> {
    match wanted {
        Some(wanted) if wanted > app.secrets_version => {
            Err(ApiError::SecretsVersion { wanted, current: app.secrets_version })
        }
        _ => Ok(()),
    }
}

pub(super) fn at_version<'world>(world: &'world mut World, request: &ApiRequest) -> Result<&'world mut App, ApiError> {
    let wanted = request.query("min_version").and_then(|version| version.parse().ok());
    let app = world.app(&request.route.app)?;
    check_version(app, wanted)?;
    Ok(app)
}

fn render(name: &str, secret: &Secret, show: bool) -> Value {
    let mut shown = secret.render(name);
    if show {
        shown["value"] = json!(secret.value.expose_secret());
    }
    shown
}
