use std::sync::Arc;

use gastown_domain::ports::{AddRig, Caller, Towns};

use crate::{failure::town_error, output::AddedRigView, trpc::CallError};

/// Adds a repository to a town. The rig is `pending` while the sandbox does not answer.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, request: AddRig) -> Result<AddedRigView, CallError> {
    towns.add_rig(&caller, request).await.map(AddedRigView::from).map_err(|error| town_error(&error))
}
