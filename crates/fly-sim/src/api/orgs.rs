//! The calls on an organization and on the platform.

use serde_json::{Value, json};

use super::{ApiRequest, machine_read::matches_filters};
use crate::{
    reply::Reply,
    rules,
    world::{AppAccess, Machine, Volume, World},
};

pub(super) fn machines(world: &World, request: &ApiRequest) -> Reply {
    let mut machines: Vec<&Machine> = world
        .machines
        .values()
        .filter(|machine| belongs(world, &machine.app, request) && matches_filters(machine, request))
        .filter(|machine| machine.visible_from <= world.now())
        .collect();
    machines.sort_by_key(|machine| machine.creation);
    let shown: Vec<Value> = machines.into_iter().map(Machine::render_for_org).collect();
    Reply::json(200, json!({ "machines": shown, "error_regions": [] }))
}

pub(super) fn volumes(world: &World, request: &ApiRequest) -> Reply {
    let include_deleted = request.flag(&["include_deleted"]);
    let mut volumes: Vec<&Volume> = world
        .volumes
        .values()
        .filter(|volume| belongs(world, &volume.app, request) && (include_deleted || !volume.deleted))
        .filter(|volume| volume.visible_from <= world.now())
        .collect();
    volumes.sort_by_key(|volume| volume.creation);
    let shown: Vec<Value> = volumes.into_iter().map(Volume::render_for_org).collect();
    Reply::json(200, json!({ "volumes": shown }))
}

/// Lists the regions. The keys are capitalized, as in the live service.
pub(super) fn regions() -> Reply {
    let regions: Vec<Value> = rules::REGIONS
        .into_iter()
        .map(|code| json!({ "code": code, "name": code, "gateway_available": true, "deprecated": false }))
        .collect();
    Reply::json(200, json!({ "Regions": regions, "Nearest": rules::DEFAULT_REGION }))
}

fn belongs(world: &World, app: &str, request: &ApiRequest) -> bool {
    world
        .apps
        .get(app)
        .is_some_and(|app| app.access == AppAccess::Open && app.org_slug == world.org(&request.route.app))
}
