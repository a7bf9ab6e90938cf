use std::sync::Arc;

use gastown_domain::ports::{Caller, Towns};

use crate::{failure::town_error, input::TownRef, output::TownView, trpc::CallError};

/// Stops a town and keeps its volume.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, input: TownRef) -> Result<TownView, CallError> {
    towns.stop_town(&caller, input.0).await.map(TownView::from).map_err(|error| town_error(&error))
}
