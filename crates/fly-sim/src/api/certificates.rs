//! The calls on the hostnames of an app and their certificates.
//!
//! No name server is asked, so a certificate stays unconfirmed. Nothing here looks like the success that Fly gives
//! after a check of the DNS.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    ApiRequest,
    page::{Page, parse_limit},
};
use crate::{
    api_error::ApiError,
    clock::rfc3339,
    image,
    reply::Reply,
    world::{App, Hostname, World},
};

const DEFAULT_PAGE: usize = 25;
const MAX_PAGE: usize = 500;
const MAX_HOSTNAME: usize = 253;

pub(super) fn list(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let limit = parse_limit(request, DEFAULT_PAGE, MAX_PAGE)?;
    let (filter, after) = (request.query("filter").unwrap_or_default(), request.query("cursor").unwrap_or_default());
    let app = world.app(&request.route.app)?;
    let matching: Vec<&Hostname> = app.hostnames.values().filter(|host| host.name.contains(filter)).collect();
    let total = matching.len();
    // The cursor is the last hostname of the previous page.
    let mut entries: Vec<&Hostname> = matching.into_iter().filter(|host| *host.name > *after).collect();
    let next_cursor = (entries.len() > limit).then(|| entries[limit - 1].name.clone());
    entries.truncate(limit);
    let page = Page { entries, next_cursor };
    let shown: Vec<Value> = page.entries.iter().map(|host| render_summary(host)).collect();
    let mut answer = json!({ "certificates": shown, "total_count": total });
    if let Some(cursor) = page.next_cursor {
        answer["next_cursor"] = json!(cursor);
    }
    Ok(Reply::json(200, answer))
}

pub(super) fn create_acme(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    create(world, request, |host| host.acme_requested = true)
}

pub(super) fn create_custom(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let is_pem = |key: &str| request.text(key).is_some_and(|text| text.contains("-----BEGIN "));
    if !is_pem("fullchain") || !is_pem("private_key") {
        return Err(ApiError::Unprocessable("fullchain and private_key must be PEM".to_owned()));
    }
    create(world, request, |host| host.has_custom = true)
}

fn create(world: &mut World, request: &ApiRequest, change: fn(&mut Hostname)) -> Result<Reply, ApiError> {
    let at = world.wall();
    let app = world.app(&request.route.app)?;
    let name = request.text("hostname").unwrap_or_default().to_ascii_lowercase();
    if !is_hostname(&name) {
        return Err(ApiError::Unprocessable("Hostname is invalid".to_owned()));
    }
    let new =
        || Hostname { name: name.clone(), acme_requested: false, has_custom: false, created_at: at, updated_at: at };
    let host = app.hostnames.entry(name.clone()).or_insert_with(new);
    let before = host.clone();
    change(host);
    if *host == before {
        return Err(ApiError::Unprocessable("Hostname already exists on app".to_owned()));
    }
    host.updated_at = at;
    let host = host.clone();
    Ok(Reply::json(201, render(app, &host)))
}

pub(super) fn get(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let app = world.app(&request.route.app)?;
    let host = app.hostnames.get(&request.route.key).ok_or(ApiError::CertificateNotFound)?;
    Ok(Reply::json(200, render(app, host)))
}

/// Checks a hostname again. The names that the simulator would have to look up have no records.
pub(super) fn check(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let found = get(world, request)?;
    let mut shown = found.value().cloned().unwrap_or_default();
    shown["dns_records"] = json!({ "a": [], "aaaa": [], "cname": [], "resolved_addresses": [] });
    Ok(Reply::json(found.status, shown))
}

pub(super) fn delete(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let app = world.app(&request.route.app)?;
    app.hostnames.remove(&request.route.key).ok_or(ApiError::CertificateNotFound)?;
    Ok(Reply::empty(204))
}

/// Ends the renewals by Fly and keeps a certificate of the app's own.
pub(super) fn delete_acme(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    remove(world, request, |host| std::mem::take(&mut host.acme_requested))
}

/// Removes the certificate of the app's own and keeps that of Fly.
pub(super) fn delete_custom(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    remove(world, request, |host| std::mem::take(&mut host.has_custom))
}

/// Removes a part of a hostname, if it has that part.
fn remove(world: &mut World, request: &ApiRequest, take: fn(&mut Hostname) -> bool) -> Result<Reply, ApiError> {
    let at = world.wall();
    let app = world.app(&request.route.app)?;
    let host = app.hostnames.get_mut(&request.route.key).ok_or(ApiError::CertificateNotFound)?;
    if !take(host) {
        return Err(ApiError::CertificateNotFound);
    }
    host.updated_at = at;
    let host = host.clone();
    Ok(Reply::json(200, render(app, &host)))
}

fn is_hostname(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= MAX_HOSTNAME && name.contains('.') && name.strip_prefix("*.").unwrap_or(name).split('.').all(is_label)
}

fn status(host: &Hostname) -> &'static str {
    if host.has_custom { "pending_ownership" } else { "pending_validation" }
}

fn render_summary(host: &Hostname) -> Value {
    json!({
        "hostname": host.name, "status": status(host), "configured": false, "dns_provider": "",
        "acme_requested": host.acme_requested, "acme_dns_configured": false, "acme_http_configured": false,
        "acme_alpn_configured": false, "ownership_txt_configured": false, "has_custom_certificate": host.has_custom,
        "has_fly_certificate": false, "created_at": rfc3339(host.created_at), "updated_at": rfc3339(host.updated_at),
    })
}

fn render(app: &App, host: &Hostname) -> Value {
    let target = format!("{}.fly.dev", app.name);
    let plain = host.name.strip_prefix("*.").unwrap_or(&host.name);
    let ips = |is_v6: bool| -> Vec<&str> {
        let public = app.ips.iter().filter(|address| !address.ip.starts_with("fdaa:"));
        public.map(|address| address.ip.as_str()).filter(|ip| ip.contains(':') == is_v6).collect()
    };
    let proof = image::digest_of(&format!("{} {}", app.name, host.name));
    json!({
        "hostname": host.name, "status": status(host), "configured": false, "dns_provider": "",
        "acme_requested": host.acme_requested, "certificates": entries(host), "validation_errors": [],
        "dns_requirements": {
            "a": ips(false), "aaaa": ips(true), "cname": target,
            "acme_challenge": { "name": format!("_acme-challenge.{plain}"), "target": format!("{plain}.{target}") },
            "ownership": { "name": format!("_fly-ownership.{plain}"), "app_value": proof, "org_value": app.org_slug },
        },
        "validation": {
            "alpn_configured": false, "dns_configured": false, "http_configured": false,
            "ownership_txt_configured": false,
        },
    })
}

fn entries(host: &Hostname) -> Vec<Value> {
    let entry = |source: &str, status: &str, at: DateTime<Utc>| json!({ "source": source, "status": status, "created_at": rfc3339(at), "issued": [] });
    let fly = host.acme_requested.then(|| entry("fly", "pending_validation", host.created_at));
    let custom = host.has_custom.then(|| entry("custom", "pending_ownership", host.updated_at));
    fly.into_iter().chain(custom).collect()
}
