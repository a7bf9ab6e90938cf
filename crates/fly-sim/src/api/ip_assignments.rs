//! The calls on the IP addresses of an app. No traffic reaches them.

use serde_json::{Value, json};

use super::ApiRequest;
use crate::{
    api_error::ApiError,
    clock::rfc3339,
    regions,
    reply::Reply,
    world::{IpAddress, IpKind, World},
};

/// The region of an address that is announced everywhere.
const GLOBAL: &str = "global";

pub(super) fn list(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let app = world.app(&request.route.app)?;
    let org = app.org_slug.clone();
    let shown: Vec<Value> = app.ips.iter().map(|address| render(address, &org)).collect();
    Ok(Reply::json(200, json!({ "ips": shown })))
}

/// Allocates an address. A repeated call allocates another one, except for the shared address.
pub(super) fn assign(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let app = world.app(&request.route.app)?;
    let (org, own_network) = (app.org_slug.clone(), app.network.clone());
    let kind = parse_kind(request)?;
    let region = match request.text("region") {
        Some(region) if region != GLOBAL && !regions::is_code(region) => {
            return Err(ApiError::InvalidPlain(format!("region '{region}' not found")));
        }
        region => region.unwrap_or(GLOBAL).to_owned(),
    };
    let network = request.text("network").map_or(own_network, str::to_owned);
    if !world.apps.values().any(|app| app.org_slug == org && app.network == network) {
        return Err(ApiError::InvalidPlain("network not found".to_owned()));
    }
    let ip = world.ids.ip(kind);
    let service_name = request.text("service_name").unwrap_or_default().to_owned();
    let address = IpAddress { ip, kind, region, service_name, network, created_at: world.wall() };
    let app = world.app(&request.route.app)?;
    let shared = app.ips.iter().find(|known| known.kind == IpKind::SharedV4 && kind == IpKind::SharedV4).cloned();
    let address = shared.unwrap_or_else(|| {
        app.ips.push(address.clone());
        address
    });
    Ok(Reply::json(200, render(&address, &org)))
}

pub(super) fn release(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let app = world.app(&request.route.app)?;
    let count = app.ips.len();
    app.ips.retain(|address| address.ip != request.route.key);
    if app.ips.len() == count { Err(ApiError::IpNotFound) } else { Ok(Reply::empty(204)) }
}

fn parse_kind(request: &ApiRequest) -> Result<IpKind, ApiError> {
    match request.text("type").unwrap_or_default() {
        "v4" => Ok(IpKind::V4),
        "v6" => Ok(IpKind::V6),
        "shared_v4" => Ok(IpKind::SharedV4),
        "private_v6" => Ok(IpKind::PrivateV6),
        kind @ ("egress_v4" | "egress_v6" | "egress_pair") => Err(ApiError::not_simulated(format!("type {kind}"))),
        _ => Err(ApiError::InvalidPlain("invalid ip address type".to_owned())),
    }
}

fn render(address: &IpAddress, org: &str) -> Value {
    let mut shown = json!({
        "ip": address.ip, "region": address.region, "service_name": address.service_name,
        "shared": address.kind == IpKind::SharedV4, "created_at": rfc3339(address.created_at),
    });
    if address.kind == IpKind::PrivateV6 {
        // The default network has no name.
        let name = if address.network == "default" { "" } else { &address.network };
        shown["network"] = json!({ "name": name, "org_slug": org });
    }
    shown
}
