use std::sync::Arc;

use gastown_domain::ports::{Caller, RestoreTown, Towns};

use crate::{failure::town_error, output::RestoredTownView, trpc::CallError};

/// Restores a town whose volume is lost from R2.
pub(super) async fn run(
    towns: Arc<dyn Towns>,
    caller: Caller,
    input: RestoreTown,
) -> Result<RestoredTownView, CallError> {
    towns.restore_town(&caller, input).await.map(RestoredTownView::from).map_err(|error| town_error(&error))
}
