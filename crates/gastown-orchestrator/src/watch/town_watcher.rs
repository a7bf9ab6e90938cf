//! One watcher of a town.

use std::collections::VecDeque;

use async_trait::async_trait;
use gastown_domain::ports::{Caller, TownChanges, TownError, TownReport};
use gastown_domain::{TownChanged, TownId, WatchPosition, changes, gone};

use super::hub::{LatestReport, WatchedTown};
use super::topics::Subscribed;
use super::watching::Watching;
use crate::town_service::TownService;

impl TownService {
    /// Authorizes the caller, reads the town, and watches it from then on.
    ///
    /// A watcher that resumes at a town of which nothing is left gets that change, because it may have missed the end.
    pub(crate) async fn start_watching(
        &self,
        caller: &Caller,
        town: TownId,
        after: Option<WatchPosition>,
    ) -> Result<Box<dyn TownChanges>, TownError> {
        // Subscribed first, so that no change after the read is missed.
        let subscribed = self.watchers.towns.subscribe((caller.user().clone(), town));
        let report = self.ports.store.registry.report(caller, town).await?;
        if report.is_none() && after.is_none() {
            return Err(TownError::NotFound);
        }
        if let Some(report) = &report {
            self.record_use(&report.town, report.use_is_recorded).await;
        }
        let watching = Watching::new(self, caller);
        let mut watcher =
            TownWatcher { watching, subscribed, position: after, pending: VecDeque::new(), is_over: false };
        watcher.compare(report.as_ref());
        Ok(Box::new(watcher))
    }
}

/// The changes of one town for one caller.
struct TownWatcher {
    watching: Watching,
    subscribed: Subscribed<WatchedTown, LatestReport>,
    /// The position after everything in `pending`.
    position: Option<WatchPosition>,
    /// The changes that are not told yet. New ones are looked for when it is empty, so its length is bounded.
    pending: VecDeque<TownChanged>,
    /// True once nothing is left of the town.
    is_over: bool,
}

impl TownWatcher {
    /// Adds what has changed since the position.
    fn compare(&mut self, report: Option<&TownReport>) {
        match (report, &self.position) {
            (Some(report), position) => self.pending.extend(changes(position.as_ref(), report)),
            (None, Some(position)) => {
                let at = self.watching.service.ports.env.clock.now();
                self.pending.push_back(gone(position, at));
                self.is_over = true;
            }
            (None, None) => self.is_over = true,
        }
        if let Some(last) = self.pending.back() {
            self.position = Some(last.position.clone());
        }
    }
}

#[async_trait]
impl TownChanges for TownWatcher {
    async fn next(&mut self) -> Option<Result<TownChanged, TownError>> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Some(Ok(change));
            }
            if self.is_over {
                return None;
            }
            match self.watching.next(&mut self.subscribed.values).await {
                Ok(report) => self.compare(report.as_deref()),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
