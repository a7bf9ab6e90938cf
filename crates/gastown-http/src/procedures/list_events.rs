use std::sync::Arc;

use gastown_domain::ports::{Caller, EventPage, Towns};

use crate::{failure::town_error, output::EventPageView, trpc::CallError};

/// Lists the history of a town, newest first. `cursor` is the `nextCursor` of the previous page.
pub(super) async fn run(towns: Arc<dyn Towns>, caller: Caller, page: EventPage) -> Result<EventPageView, CallError> {
    let events = towns.town_events(&caller, page).await.map_err(|error| town_error(&error))?;
    Ok(EventPageView::new(events, page.limit))
}
