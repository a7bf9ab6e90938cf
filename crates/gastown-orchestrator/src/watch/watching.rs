//! The wait of a watcher for the next value of what it watches.

use std::time::Duration;

use gastown_domain::ports::{Caller, StoreError, TownError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::town_service::TownService;

/// The longest time for which a revoked token may watch.
const AUTHORIZE_EVERY: Duration = Duration::from_secs(30);

/// The service is stopping. A client that repeats the call finds another process.
#[derive(Debug, thiserror::Error)]
#[error("service is stopping")]
struct Stopping;

/// A caller that watches.
pub(super) struct Watching {
    pub(super) service: TownService,
    caller: Caller,
    authorize_at: Instant,
}

/// The event that ends a wait.
enum Woken {
    Changed,
    Authorize,
    Stopped,
}

impl Watching {
    pub(super) fn new(service: &TownService, caller: &Caller) -> Self {
        let authorize_at = Instant::now() + AUTHORIZE_EVERY;
        Self { service: service.clone(), caller: caller.clone(), authorize_at }
    }

    /// Waits for the next value. May be cancelled at any time.
    ///
    /// Errors: `Unauthorized` once the caller's token is revoked, `Store`.
    pub(super) async fn next<V: Clone>(&mut self, values: &mut watch::Receiver<V>) -> Result<V, TownError> {
        let stop = self.service.watchers.stop().clone();
        loop {
            let woken = tokio::select! {
                biased;
                () = stop.cancelled() => Woken::Stopped,
                changed = values.changed() => changed.map_or(Woken::Stopped, |()| Woken::Changed),
                () = sleep_until(self.authorize_at) => Woken::Authorize,
            };
            match woken {
                Woken::Changed => return Ok(values.borrow_and_update().clone()),
                Woken::Authorize => {
                    self.service.authorized(self.caller.clone()).await?;
                    self.authorize_at = Instant::now() + AUTHORIZE_EVERY;
                }
                Woken::Stopped => {
                    return Err(TownError::Store(StoreError::Unavailable { cause: Box::new(Stopping) }));
                }
            }
        }
    }
}
