use std::sync::Arc;

use futures::{Stream, stream};
use gastown_domain::ports::{Caller, TownChanges, Towns};

use crate::{
    failure::town_error,
    input::WatchedTown,
    output::TownChangeView,
    trpc::{CallError, Tracked},
};

/// Watches a town. Each value has an id, after which a client resumes.
pub(super) async fn run(
    towns: Arc<dyn Towns>,
    caller: Caller,
    input: WatchedTown,
) -> Result<impl Stream<Item = Result<Tracked<TownChangeView>, CallError>> + Send + 'static, CallError> {
    let WatchedTown { town, after } = input;
    let changes = towns.watch_town(&caller, town, after).await.map_err(|error| town_error(&error))?;
    Ok(stream::unfold(changes, move |mut changes: Box<dyn TownChanges>| async move {
        let change = changes.next().await?;
        let view = change.map(|change| Tracked::new(change.position.to_string(), TownChangeView::new(town, change)));
        Some((view.map_err(|error| town_error(&error)), changes))
    }))
}
