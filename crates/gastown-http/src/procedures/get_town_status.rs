use std::sync::Arc;

use gastown_domain::ports::{Caller, Towns};

use crate::{failure::town_error, input::TownRef, output::ReportView, trpc::CallError};

/// Returns a town with its rigs, its health and the operation in flight.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, input: TownRef) -> Result<ReportView, CallError> {
    towns.town_status(&caller, input.0).await.map(ReportView::from).map_err(|error| town_error(&error))
}
