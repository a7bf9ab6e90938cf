//! The list of procedures, each with its guard and its handler.

mod add_rig;
mod create_town;
#[cfg(feature = "schema")]
mod description;
mod destroy_town;
mod get_rig;
mod get_town_status;
mod heartbeat;
mod list_events;
mod list_regions;
mod list_towns;
mod refresh_token;
mod remove_rig;
mod restore_town;
mod start_town;
mod stop_town;
mod update_town;
mod watch_town;
mod watch_towns;

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
        .mutation("gastown.restoreTown", user.clone(), on(towns, restore_town::run))
        .mutation("gastown.addRig", user.clone(), on(towns, add_rig::run))
        .mutation("gastown.removeRig", user.clone(), on(towns, remove_rig::run))
        .mutation("gastown.updateTown", user.clone(), on(towns, update_town::run))
        .query("gastown.getRig", user.clone(), on(towns, get_rig::run))
        .query("gastown.getTownStatus", user.clone(), on(towns, get_town_status::run))
        .query("gastown.listEvents", user.clone(), on(towns, list_events::run))
        .subscription("gastown.watchTown", user.clone(), on(towns, watch_town::run))
        .query("gastown.listTowns", user.clone(), on(towns, list_towns::run))
        .subscription("gastown.watchTowns", user.clone(), on(towns, watch_towns::run))
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
    let mut all = description::beginnings(of);
    all.extend(description::rigs(of));
    all.extend(description::changes(of));
    all.extend(description::sandboxes(of));
    all
}
