use std::sync::Arc;

use futures::{Stream, stream};
use gastown_domain::ports::{Caller, TownListChanges, Towns};

use crate::{
    failure::town_error,
    input::WatchedList,
    output::TownListChangeView,
    trpc::{CallError, Tracked},
};

/// Watches the caller's list of towns. Each value has an id, after which a client resumes.
pub(super) async fn run(
    towns: Arc<dyn Towns>,
    caller: Caller,
    input: WatchedList,
) -> Result<impl Stream<Item = Result<Tracked<TownListChangeView>, CallError>> + Send + 'static, CallError> {
    let changes = towns.watch_towns(&caller, input.after).await.map_err(|error| town_error(&error))?;
    Ok(stream::unfold(changes, |mut changes: Box<dyn TownListChanges>| async move {
        let change = changes.next().await;
        let view = change.map(|change| Tracked::new(change.position.to_string(), TownListChangeView::from(change)));
        Some((view.map_err(|error| town_error(&error)), changes))
    }))
}
