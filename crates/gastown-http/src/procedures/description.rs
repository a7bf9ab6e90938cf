//! The description of each procedure: a sentence, an example, and the reasons of its errors.

use gastown_domain::Failure;
use serde_json::{Value, json};

use super::{
    add_rig, create_town, destroy_town, get_rig, get_town_status, heartbeat, list_events, list_regions, list_towns,
    refresh_token, remove_rig, restore_town, start_town, stop_town, update_town, watch_town, watch_towns,
};
use crate::{
    reason::Reason,
    schema::{Describer, Procedure},
    trpc::Kind::{Mutation, Query},
};

/// The causes why a sandbox gets no token.
const NO_TOKEN: [Failure; 3] = [Failure::OwnerUnknown, Failure::OwnerBlocked, Failure::SecretsUnavailable];

fn town() -> Value {
    json!({"townId": "$TOWN_ID"})
}

fn rig() -> Value {
    json!({"townId": "$TOWN_ID", "rigId": "$RIG_ID"})
}

/// Describes what a client does first.
pub(super) fn beginnings(of: &mut Describer) -> Vec<Procedure> {
    let create = "Creates a town. It is still `provisioning`, with its operation, if it does not run in time.";
    let status = "Returns a town with its rigs, its health, its operation and the end of the last one.";
    let events = "Lists the history of a town, newest first. The service keeps events for 90 days, or as configured.";
    let watch = "Watches a town: each step of its operations, its status and its health, as server-sent events.";
    let watch_list = "Watches the caller's list of towns: first the whole list, then what has changed in it.";
    let page = json!({"townId": "$TOWN_ID", "limit": 50});
    let list = "Lists the caller's towns, oldest first. Destroyed towns are not listed.";
    vec![
        of.procedure((Query, "gastown.listRegions", "Lists the regions of towns."), list_regions::run, json!(null)),
        of.procedure((Mutation, "gastown.createTown", create), create_town::run, json!({"townName": "bakery"}))
            .refusing(&[Reason::AccountBlocked, Reason::TownNameTaken, Reason::KeyReused, Reason::RegionNotOffered])
            .refusing(&[Reason::TooManyTowns, Reason::TooManyRigs, Reason::TooManyOperations, Reason::TooManyChanges])
            .failing(),
        of.procedure((Query, "gastown.listTowns", list), list_towns::run, json!({"limit": 10})),
        of.procedure((Query, "gastown.getTownStatus", status), get_town_status::run, town())
            .refusing(&[Reason::TownNotFound]),
        of.procedure((Query, "gastown.listEvents", events), list_events::run, page).refusing(&[Reason::TownNotFound]),
        of.subscription(("gastown.watchTown", watch), watch_town::run, town())
            .refusing(&[Reason::TownNotFound, Reason::TooManyWatchers]),
        of.subscription(("gastown.watchTowns", watch_list), watch_towns::run, json!({}))
            .refusing(&[Reason::TooManyWatchers]),
    ]
}

/// Describes the procedures of rigs.
pub(super) fn rigs(of: &mut Describer) -> Vec<Procedure> {
    let add = "Adds a repository to a town. The rig is `pending` while the sandbox does not answer. A town that was stopped because \
               it was idle starts, and the answer says so.";
    let new = json!({
        "townId": "$TOWN_ID", "rigName": "web", "repoUrl": "https://github.com/octocat/hello-world.git",
    });
    vec![
        of.procedure((Mutation, "gastown.addRig", add), add_rig::run, new)
            .refusing(&[Reason::TownNotFound, Reason::RigNotFound, Reason::RigNameTaken, Reason::RigRefused])
            .refusing(&[Reason::TooManyRigs, Reason::TooManyChanges, Reason::AccountBlocked]),
        of.procedure((Query, "gastown.getRig", "Returns one rig with its configuration."), get_rig::run, rig())
            .refusing(&[Reason::TownNotFound, Reason::RigNotFound]),
        of.procedure((Mutation, "gastown.removeRig", "Removes a rig from a town."), remove_rig::run, rig())
            .refusing(&[Reason::TownNotFound, Reason::RigNotFound, Reason::RigInUse, Reason::TooManyChanges]),
    ]
}

/// Describes the operations on a town that exists.
pub(super) fn changes(of: &mut Describer) -> Vec<Procedure> {
    let stop = "Stops a town and keeps its volume.";
    let start = "Starts a stopped town, and says so if it was stopped because it was idle.";
    let restore = "Restores a town whose volume is lost: a new volume with the data that was saved to R2.";
    let confirmed = json!({"townId": "$TOWN_ID", "confirm": "bakery"});
    let destroy = "Destroys a town. Its owner sees it as `destroyed`, with its operation, until nothing is left.";
    let update = "Changes the configuration of a town, if it has not changed since it was read.";
    let new = json!({"townId": "$TOWN_ID", "config": {"max_polecats": 4}, "configVersion": "$CONFIG_VERSION"});
    let reasons =
        [Reason::TownNotFound, Reason::OperationInProgress, Reason::TooManyOperations, Reason::TooManyChanges];
    vec![
        of.procedure((Mutation, "gastown.updateTown", update), update_town::run, new)
            .refusing(&[Reason::TownNotFound, Reason::ConfigChanged, Reason::FirstRigsFixed, Reason::ConfigTooLarge])
            .refusing(&[Reason::OperationInProgress, Reason::TooManyChanges, Reason::AccountBlocked]),
        of.procedure((Mutation, "gastown.stopTown", stop), stop_town::run, town()).refusing(&reasons).failing(),
        of.procedure((Mutation, "gastown.startTown", start), start_town::run, town())
            .refusing(&reasons)
            .refusing(&[Reason::AccountBlocked])
            .failing(),
        of.procedure((Mutation, "gastown.restoreTown", restore), restore_town::run, confirmed)
            .refusing(&reasons)
            .refusing(&[Reason::NotConfirmed, Reason::VolumeNotLost, Reason::NeverSaved, Reason::AccountBlocked])
            .failing(),
        of.procedure((Mutation, "gastown.destroyTown", destroy), destroy_town::run, town())
            .refusing(&[Reason::TownNotFound, Reason::TooManyOperations]),
    ]
}

/// Describes the procedures of sandboxes.
pub(super) fn sandboxes(of: &mut Describer) -> Vec<Procedure> {
    let beat = "Records a heartbeat of a sandbox, with what it says of itself.";
    let report = json!({
        "townId": "$TOWN_ID", "gtRunning": true, "doltRunning": true, "activePolecats": 2,
        "diskUsedBytes": 1_288_490_188, "lastR2SyncAt": "2026-11-24T13:45:00.000Z",
    });
    let refresh = "Mints a new gateway token for a sandbox, before its current one expires.";
    vec![
        of.procedure((Mutation, "gastown.heartbeat", beat), heartbeat::run, report).refusing(&[Reason::TooManyCalls]),
        of.procedure((Mutation, "gastown.refreshToken", refresh), refresh_token::run, town())
            .refusing(&[Reason::TooManyCalls])
            .refusing(&NO_TOKEN.map(Reason::Failed)),
    ]
}
