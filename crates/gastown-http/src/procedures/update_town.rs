use std::sync::Arc;

use gastown_domain::ports::{Caller, Towns, UpdateTown};

use crate::{failure::town_error, output::TownView, trpc::CallError};

/// Changes the configuration of a town, if it still has the version that the caller has read.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, request: UpdateTown) -> Result<TownView, CallError> {
    towns.update_town(&caller, request).await.map(TownView::from).map_err(|error| town_error(&error))
}
