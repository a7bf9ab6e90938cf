//! The list of procedures, each with its guard and its handler.

mod add_rig;
mod create_town;
mod destroy_town;
mod get_rig;
mod get_town_status;
mod heartbeat;
mod list_regions;
mod list_towns;
mod refresh_token;
mod remove_rig;
mod start_town;
mod stop_town;

use std::sync::Arc;

use tracing::{Span, field::display};

use crate::{
    caller::{SandboxGuard, UserGuard},
    input::NamesTown,
    parts::HttpParts,
    trpc::Router,
};

/// Returns every procedure, behind its guard.
pub fn procedures(parts: &HttpParts) -> Router {
    let user = Arc::new(UserGuard::new(Arc::clone(&parts.tokens)));
    let sandbox = Arc::new(SandboxGuard);
    let (towns, home) = (&parts.towns, &parts.home);
    Router::new()
        .mutation("gastown.createTown", user.clone(), on(towns, create_town::run))
        .mutation("gastown.destroyTown", user.clone(), on(towns, destroy_town::run))
        .mutation("gastown.stopTown", user.clone(), on(towns, stop_town::run))
        .mutation("gastown.startTown", user.clone(), on(towns, start_town::run))
        .mutation("gastown.addRig", user.clone(), on(towns, add_rig::run))
        .mutation("gastown.removeRig", user.clone(), on(towns, remove_rig::run))
        .query("gastown.getRig", user.clone(), on(towns, get_rig::run))
        .query("gastown.getTownStatus", user.clone(), on(towns, get_town_status::run))
        .query("gastown.listTowns", user.clone(), on(towns, list_towns::run))
        .query("gastown.listRegions", user, on(towns, list_regions::run))
        .mutation("gastown.heartbeat", sandbox.clone(), on(home, heartbeat::run))
        .mutation("gastown.refreshToken", sandbox, on(home, refresh_token::run))
}

/// Gives a procedure its port, and records the town of each call in the call's span.
fn on<P: ?Sized, C, I, Fut, F>(port: &Arc<P>, procedure: F) -> impl Fn(C, I) -> Fut + use<P, C, I, Fut, F>
where
    I: NamesTown,
    F: Fn(Arc<P>, C, I) -> Fut,
{
    let port = Arc::clone(port);
    move |caller, input| {
        if let Some(town) = input.town() {
            Span::current().record("town.id", display(town));
        }
        procedure(Arc::clone(&port), caller, input)
    }
}

/// Describes every procedure, in the order of a town's life.
#[cfg(feature = "schema")]
pub(crate) fn described(of: &mut crate::schema::Describer) -> Vec<crate::schema::Procedure> {
    use serde_json::json;

    use crate::{reason::Reason, trpc::Kind};

    let (town, rig) = (json!({"townId": "$TOWN_ID"}), json!({"townId": "$TOWN_ID", "rigId": "$RIG_ID"}));
    let (new, found) = (json!({"townName": "forge"}), [Reason::TownNotFound]);
    let of_operation = [Reason::TownNotFound, Reason::OperationInProgress, Reason::TooManyOperations];
    let add = json!({
        "townId": "$TOWN_ID", "rigName": "web", "repoUrl": "https://github.com/octocat/hello-world.git",
    });
    let (query, mutation) = (Kind::Query, Kind::Mutation);
    let create = "Creates a town. It is still `provisioning`, with its operation, if it does not run in time.";
    let status = "Returns a town with its rigs, its health, its operation and the end of the last one.";
    let list = "Lists the caller's towns, oldest first. Destroyed towns are not listed.";
    let destroy = "Destroys a town. Its owner sees it as `destroyed`, with its operation, until nothing is left.";
    let add_rig = "Adds a repository to a town. The rig is `pending` while the sandbox does not answer.";
    let start = "Starts a stopped town.";
    let refresh = "Mints a new gateway token for a sandbox, before its current one expires.";
    vec![
        of.procedure((query, "gastown.listRegions", "Lists the regions of towns."), list_regions::run, json!(null)),
        of.procedure((mutation, "gastown.createTown", create), create_town::run, new)
            .refusing(&[Reason::AccountBlocked, Reason::TownNameTaken, Reason::KeyReused, Reason::RegionNotOffered])
            .refusing(&[Reason::TooManyTowns, Reason::TooManyRigs, Reason::TooManyOperations])
            .failing(),
        of.procedure((query, "gastown.listTowns", list), list_towns::run, json!({"limit": 10})),
        of.procedure((query, "gastown.getTownStatus", status), get_town_status::run, town.clone()).refusing(&found),
        of.procedure((mutation, "gastown.addRig", add_rig), add_rig::run, add)
            .refusing(&[Reason::TownNotFound, Reason::RigNotFound, Reason::RigNameTaken, Reason::RigRefused])
            .refusing(&[Reason::TooManyRigs]),
        of.procedure((query, "gastown.getRig", "Returns one rig with its configuration."), get_rig::run, rig.clone())
            .refusing(&[Reason::TownNotFound, Reason::RigNotFound]),
        of.procedure((mutation, "gastown.removeRig", "Removes a rig from a town."), remove_rig::run, rig).refusing(&[
            Reason::TownNotFound,
            Reason::RigNotFound,
            Reason::RigInUse,
        ]),
        of.procedure(
            (mutation, "gastown.stopTown", "Stops a town and keeps its volume."),
            stop_town::run,
            town.clone(),
        )
        .refusing(&of_operation)
        .failing(),
        of.procedure((mutation, "gastown.startTown", start), start_town::run, town.clone())
            .refusing(&of_operation)
            .refusing(&[Reason::AccountBlocked])
            .failing(),
        of.procedure((mutation, "gastown.destroyTown", destroy), destroy_town::run, town.clone())
            .refusing(&[Reason::TownNotFound, Reason::TooManyOperations]),
        of.procedure(
            (mutation, "gastown.heartbeat", "Records a heartbeat of a sandbox."),
            heartbeat::run,
            town.clone(),
        )
        .refusing(&[Reason::TooManyCalls]),
        of.procedure((mutation, "gastown.refreshToken", refresh), refresh_token::run, town).failing(),
    ]
}
