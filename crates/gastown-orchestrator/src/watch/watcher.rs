//! One watcher of a town.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::ports::{Caller, StoreError, TownChanges, TownError, TownReport};
use gastown_domain::{TownChanged, TownId, WatchPosition, changes, gone};
use tokio::time::{Instant, sleep_until};

use super::hub::Subscribed;
use crate::town_service::TownService;

/// The longest time for which a revoked token may watch.
const AUTHORIZE_EVERY: Duration = Duration::from_secs(30);

/// The service is stopping. A client that repeats the call finds another process.
#[derive(Debug, thiserror::Error)]
#[error("service is stopping")]
struct Stopping;

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
        let subscribed = self.watchers.subscribe(town, caller.user());
        let report = self.ports.store.registry.report(caller, town).await?;
        if report.is_none() && after.is_none() {
            return Err(TownError::NotFound);
        }
        let mut watcher = Watcher {
            service: self.clone(),
            caller: caller.clone(),
            subscribed,
            position: after,
            pending: VecDeque::new(),
            is_over: false,
            authorize_at: Instant::now() + AUTHORIZE_EVERY,
        };
        watcher.compare(report.as_ref());
        Ok(Box::new(watcher))
    }
}

/// The changes of one town for one caller.
struct Watcher {
    service: TownService,
    caller: Caller,
    subscribed: Subscribed,
    /// The position after everything in `pending`.
    position: Option<WatchPosition>,
    /// The changes that are not told yet. New ones are looked for when it is empty, so its length is bounded.
    pending: VecDeque<TownChanged>,
    /// True once nothing is left of the town.
    is_over: bool,
    authorize_at: Instant,
}

/// The event that ends a wait.
enum Woken {
    Changed,
    Authorize,
    Stopped,
}

impl Watcher {
    /// Adds what has changed since the position.
    fn compare(&mut self, report: Option<&TownReport>) {
        match (report, &self.position) {
            (Some(report), position) => self.pending.extend(changes(position.as_ref(), report)),
            (None, Some(position)) => {
                let at = self.service.ports.env.clock.now();
                self.pending.push_back(gone(position, at));
                self.is_over = true;
            }
            (None, None) => self.is_over = true,
        }
        if let Some(last) = self.pending.back() {
            self.position = Some(last.position.clone());
        }
    }

    async fn woken(&mut self) -> Woken {
        let stop = self.service.watchers.stop().clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => Woken::Stopped,
            changed = self.subscribed.reports.changed() => changed.map_or(Woken::Stopped, |()| Woken::Changed),
            () = sleep_until(self.authorize_at) => Woken::Authorize,
        }
    }
}

#[async_trait]
impl TownChanges for Watcher {
    async fn next(&mut self) -> Option<Result<TownChanged, TownError>> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Some(Ok(change));
            }
            if self.is_over {
                return None;
            }
            match self.woken().await {
                Woken::Changed => {
                    let report = self.subscribed.reports.borrow_and_update().clone();
                    self.compare(report.as_deref());
                }
                Woken::Authorize => {
                    if let Err(error) = self.service.authorized(self.caller.clone()).await {
                        return Some(Err(error));
                    }
                    self.authorize_at = Instant::now() + AUTHORIZE_EVERY;
                }
                Woken::Stopped => {
                    return Some(Err(TownError::Store(StoreError::Unavailable { cause: Box::new(Stopping) })));
                }
            }
        }
    }
}
