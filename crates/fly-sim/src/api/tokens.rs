//! The calls on tokens. The simulator knows one user, whose token may do everything in the own organization.

use serde_json::json;

use super::{ApiRequest, leases::OWNER};
use crate::{api_error::ApiError, reply::Reply, world::World};

/// The form of a duration in Go: numbers with units, such as `24h` or `1h30m`.
const UNITS: [&str; 6] = ["ns", "us", "ms", "s", "m", "h"];

pub(super) fn current(world: &mut World) -> Reply {
    let org = &world.settings.org_slug;
    let apps: Vec<&str> = world.apps.values().filter(|app| app.org_slug == *org).map(|app| &*app.name).collect();
    let token = json!({ "token_id": "simulated", "organization": org, "org_slug": org, "user": OWNER, "apps": apps });
    Reply::json(200, json!({ "tokens": [token] }))
}

/// Creates a token for deployments. It is accepted where any token is.
pub(super) fn create_deploy_token(world: &mut World, request: &ApiRequest) -> Result<Reply, ApiError> {
    world.app(&request.route.app)?;
    if let Some(expiry) = request.text("expiry").filter(|expiry| !is_duration(expiry)) {
        return Err(ApiError::invalid(format!("invalid expiry '{expiry}'")));
    }
    let token = format!("FlyV1 fm2_{}{}", world.ids.nonce(), world.ids.nonce());
    Ok(Reply::json(200, json!({ "token": token })))
}

fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit = rest[number..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| number + end);
        if number == 0 || !UNITS.contains(&&rest[number..unit]) {
            return false;
        }
        rest = &rest[unit..];
    }
    !text.is_empty()
}
