//! One watcher of a user's list of towns.

use std::sync::Arc;

use async_trait::async_trait;
use gastown_domain::ports::{Caller, TownError, TownListChanges, TownSummary};
use gastown_domain::{ListPosition, TownsChanged, UserId, list_at_first, list_changes};

use super::hub::LatestList;
use super::topics::Subscribed;
use super::watching::Watching;
use crate::town_service::TownService;

impl TownService {
    /// Authorizes the caller, reads the caller's list, and watches it from then on.
    pub(crate) async fn start_watching_list(
        &self,
        caller: &Caller,
        after: Option<ListPosition>,
    ) -> Result<Box<dyn TownListChanges>, TownError> {
        // Subscribed first, so that no change after the read is missed.
        let subscribed = self.watchers.lists.subscribe(caller.user().clone());
        let list = Arc::new(self.ports.store.registry.list(caller).await?);
        subscribed.publish_first(Some(Arc::clone(&list)));
        let at_first = list_at_first(after, &list);
        Ok(Box::new(ListWatcher { watching: Watching::new(self, caller), subscribed, list, at_first }))
    }
}

/// The changes of one list for one caller.
struct ListWatcher {
    watching: Watching,
    subscribed: Subscribed<UserId, LatestList>,
    /// The list after the changes that were returned.
    list: Arc<Vec<TownSummary>>,
    /// The first change, until it is returned.
    at_first: Option<TownsChanged>,
}

#[async_trait]
impl TownListChanges for ListWatcher {
    async fn next(&mut self) -> Result<TownsChanged, TownError> {
        if let Some(change) = self.at_first.take() {
            return Ok(change);
        }
        loop {
            let Some(list) = self.watching.next(&mut self.subscribed.values).await? else { continue };
            let change = list_changes(&self.list, &list);
            self.list = list;
            if let Some(change) = change {
                return Ok(change);
            }
        }
    }
}
