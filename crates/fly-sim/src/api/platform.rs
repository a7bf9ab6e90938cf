//! The calls on the platform: its regions, and simulated placements.

use serde_json::{Value, json};

use super::{ApiRequest, orgs};
use crate::{
    api_error::ApiError,
    regions::{self, Region},
    reply::Reply,
    rules,
    world::World,
};

/// The number of machines that a region takes, as an organization's limit would have it.
const MAX_MACHINES: u64 = 50;
/// The expression of the regions of a request that names none: first the nearest, then any other.
const ANYWHERE: &str = "any";

/// Lists the regions. The keys are capitalized, as in the live service.
pub(super) fn regions() -> Reply {
    let regions: Vec<Value> = regions::ALL.iter().map(render).collect();
    Reply::json(200, json!({ "Regions": regions, "Nearest": regions::DEFAULT }))
}

fn render(region: &Region) -> Value {
    json!({
        "code": region.code, "name": region.name, "latitude": region.latitude, "longitude": region.longitude,
        "geo_region": region.continent, "gateway_available": region.has_gateway, "requires_paid_plan": false,
        "deprecated": false,
    })
}

/// Places machines without creating them. Every region of the request has room, and nothing is reserved.
pub(super) fn placements(world: &World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let org = request.text("org_slug").ok_or_else(|| ApiError::invalid("org_slug is required"))?;
    orgs::check_org(world, org)?;
    if let Some(compute) = request.body.get("compute").filter(|compute| compute.is_object()) {
        rules::check_guest(compute).map_err(ApiError::invalid)?;
    }
    let expression = request.text("region").unwrap_or(ANYWHERE);
    let codes = regions::matching(expression);
    if codes.is_empty() {
        return Err(ApiError::invalid(format!("region '{expression}' not found")));
    }
    let placed = match request.number("count").unwrap_or(0) {
        0 => codes.into_iter().map(|code| (code, MAX_MACHINES)).collect(),
        count => spread(&codes, count),
    };
    let shown: Vec<Value> = placed
        .into_iter()
        .map(|(code, count)| json!({ "Region": code, "Count": count, "Concurrency": count }))
        .collect();
    Ok(Reply::json(200, json!({ "Regions": shown })))
}

/// Places all machines in the first region that has room for them, and the rest in the next ones.
fn spread(codes: &[&'static str], count: u64) -> Vec<(&'static str, u64)> {
    let mut left = count;
    let mut placed = Vec::new();
    for code in codes {
        let here = left.min(MAX_MACHINES);
        if here > 0 {
            placed.push((*code, here));
        }
        left -= here;
    }
    placed
}
