use std::sync::Arc;

use gastown_domain::ports::{Caller, Towns};

use crate::{failure::town_error, input::TownRef, output::StartedTownView, trpc::CallError};

/// Starts a stopped town, and says so if it was stopped because it was idle.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, input: TownRef) -> Result<StartedTownView, CallError> {
    towns.start_town(&caller, input.0).await.map(StartedTownView::from).map_err(|error| town_error(&error))
}
