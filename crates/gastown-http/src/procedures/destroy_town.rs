use std::sync::Arc;

use gastown_domain::ports::{Caller, DestroyTown, Towns};

use crate::{failure::town_error, output::DestroyedView, trpc::CallError};

/// Destroys a town with its machine and volume.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, input: DestroyTown) -> Result<DestroyedView, CallError> {
    towns.destroy_town(&caller, input).await.map(DestroyedView::from).map_err(|error| town_error(&error))
}
