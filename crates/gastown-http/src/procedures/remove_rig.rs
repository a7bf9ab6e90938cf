use std::sync::Arc;

use gastown_domain::ports::{Caller, RemoveRig, Towns};

use crate::{failure::town_error, output::RemovalView, trpc::CallError};

/// Removes a rig from a town. With `removed: false` the sandbox does not answer and the removal is pending.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, request: RemoveRig) -> Result<RemovalView, CallError> {
    let removal = towns.remove_rig(&caller, request).await.map_err(|error| town_error(&error))?;
    Ok(RemovalView::new(request.rig, removal))
}
