use std::sync::Arc;

use gastown_domain::ports::{Caller, TownPage, Towns};

use crate::{failure::town_error, output::TownSummaryView, trpc::CallError};

/// Lists the caller's towns that are not destroyed, oldest first. With `limit` it lists a page, and `cursor` is the
/// `townId` of the last town of the previous page.
pub(super) async fn run(
    towns: Arc<dyn Towns>,
    caller: Caller,
    page: TownPage,
) -> Result<Vec<TownSummaryView>, CallError> {
    let towns = towns.list_towns(&caller, page).await.map_err(|error| town_error(&error))?;
    Ok(towns.into_iter().map(TownSummaryView::from).collect())
}
