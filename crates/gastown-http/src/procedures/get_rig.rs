use std::sync::Arc;

use gastown_domain::ports::{Caller, Towns};

use crate::{failure::town_error, input::RigRef, output::RigDetailsView, trpc::CallError};

/// Returns one rig with its configuration.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, input: RigRef) -> Result<RigDetailsView, CallError> {
    towns.rig(&caller, input.town, input.rig).await.map(RigDetailsView::from).map_err(|error| town_error(&error))
}
