use std::sync::Arc;

use gastown_domain::ports::{Caller, Towns};

use crate::{failure::town_error, output::RegionView, trpc::CallError};

/// Lists the regions in which towns can be created.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, (): ()) -> Result<Vec<RegionView>, CallError> {
    towns.regions(&caller).await.map(RegionView::of).map_err(|error| town_error(&error))
}
