use std::sync::Arc;

use gastown_domain::ports::{Caller, CreateTown, Towns};

use crate::{failure::town_error, output::TownView, trpc::CallError};

/// Creates a town. Its status is `provisioning` if it is not running within the configured wait.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, request: CreateTown) -> Result<TownView, CallError> {
    towns.create_town(&caller, request).await.map(TownView::from).map_err(|error| town_error(&error))
}
