use std::sync::Arc;

use gastown_domain::ports::{Caller, DestroyTown, Towns};

use crate::{failure::town_error, output::TownView, trpc::CallError};

/// Destroys a town with its machine and volume.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, input: DestroyTown) -> Result<TownView, CallError> {
    towns.destroy_town(&caller, input).await.map(TownView::from).map_err(|error| town_error(&error))
}
