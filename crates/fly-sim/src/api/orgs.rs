//! The lists of an organization, in pages that are sorted by the last change.

use serde_json::{Value, json};

use super::{
    ApiRequest,
    machine_read::matches_filters,
    page::{Page, PageQuery},
};
use crate::{
    api_error::ApiError,
    clock::rfc3339,
    reply::Reply,
    world::{AppAccess, Volume, World},
};

/// Fly's maximum and default for the entries of a page.
const MAX_PAGE: usize = 1000;

pub(super) fn machines(world: &World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let query = PageQuery::parse(request, MAX_PAGE)?;
    check_org(world, &request.route.app)?;
    let machines = world
        .machines
        .values()
        .filter(|machine| belongs(world, &machine.app, request) && matches_filters(machine, request))
        .filter(|machine| machine.visible_from <= world.now());
    let page = query.cut(machines.collect(), |machine| (machine.updated_at, machine.creation.sequence));
    let summary = request.flag(&["summary"]);
    let shown: Vec<Value> = page.entries.iter().map(|machine| machine.render_for_org(summary)).collect();
    let mut answer = json!({ "machines": shown, "error_regions": [] });
    let last = page.entries.last().map(|last| (&*last.id, last.updated_at));
    render_end(&mut answer, &page, "last_machine_id", last);
    Ok(Reply::json(200, answer))
}

pub(super) fn volumes(world: &World, request: &ApiRequest) -> Result<Reply, ApiError> {
    let query = PageQuery::parse(request, MAX_PAGE)?;
    check_org(world, &request.route.app)?;
    let volumes = world
        .volumes
        .values()
        .filter(|volume| belongs(world, &volume.app, request) && lists_volume(volume, request))
        .filter(|volume| volume.visible_from <= world.now());
    let page = query.cut(volumes.collect(), |volume| (volume.updated_at, volume.creation.sequence));
    let summary = request.flag(&["summary"]);
    let shown: Vec<Value> = page.entries.iter().map(|volume| volume.render_for_org(summary)).collect();
    let mut answer = json!({ "volumes": shown });
    let last = page.entries.last().map(|last| (&*last.id, last.updated_at));
    render_end(&mut answer, &page, "last_volume_id", last);
    Ok(Reply::json(200, answer))
}

/// Adds the last entry of the page, and the cursor of the next page if there is one.
fn render_end<T>(
    answer: &mut Value,
    page: &Page<'_, T>,
    key: &str,
    last: Option<(&str, chrono::DateTime<chrono::Utc>)>,
) {
    if let Some((id, updated_at)) = last {
        answer[key] = json!(id);
        answer["last_updated_at"] = json!(rfc3339(updated_at));
    }
    if let Some(cursor) = &page.next_cursor {
        answer["next_cursor"] = json!(cursor);
    }
}

fn lists_volume(volume: &Volume, request: &ApiRequest) -> bool {
    let is_asked_for = |name: &str, value: &str| {
        request
            .query(name)
            .filter(|wanted| !wanted.is_empty())
            .is_none_or(|wanted| wanted.split(',').any(|w| w == value))
    };
    (!volume.deleted || request.flag(&["include_deleted"]))
        && is_asked_for("region", &volume.region)
        && is_asked_for("state", volume.state())
}

/// Refuses an organization that the caller does not have.
pub(super) fn check_org(world: &World, slug: &str) -> Result<(), ApiError> {
    let org = world.org(slug);
    let is_known = org == world.settings.org_slug
        || world.apps.values().any(|app| app.access == AppAccess::Open && app.org_slug == org);
    if is_known { Ok(()) } else { Err(ApiError::OrgNotFound) }
}

fn belongs(world: &World, app: &str, request: &ApiRequest) -> bool {
    world
        .apps
        .get(app)
        .is_some_and(|app| app.access == AppAccess::Open && app.org_slug == world.org(&request.route.app))
}
