use std::sync::Arc;

use gastown_domain::ports::{Caller, Towns};

use crate::{failure::town_error, output::TownView, trpc::CallError};

/// Lists the caller's towns that are not destroyed, oldest first.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, (): ()) -> Result<Vec<TownView>, CallError> {
    let towns = towns.list_towns(&caller).await.map_err(|error| town_error(&error))?;
    Ok(towns.into_iter().map(TownView::from).collect())
}
