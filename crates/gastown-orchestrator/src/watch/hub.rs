//! The hub: which towns are watched, and their last reports.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use gastown_domain::ports::{Caller, Registry, StoreError, TownChangeFeed, TownReport};
use gastown_domain::{TownId, UserId};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// The pause before towns are read, in which more news of them may arrive.
const COALESCE: Duration = Duration::from_millis(50);
/// The pause after a failed read.
const RETRY: Duration = Duration::from_secs(1);
/// The time between two reads without news, where nothing tells of changes.
const POLL: Duration = Duration::from_secs(1);
/// The reads at a time.
const READS: usize = 4;

/// The last report of a watched town. `None`: nothing is left of it.
pub(super) type Latest = Option<Arc<TownReport>>;

/// The watched towns of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WatchHub {
    towns: Arc<Mutex<HashMap<TownId, Watched>>>,
    /// The watched towns that may have changed since they were read.
    changed: Arc<Mutex<HashSet<TownId>>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Watched {
    watchers: usize,
    owner: UserId,
    reports: watch::Sender<Latest>,
}

/// A watched town of one watcher, until it is dropped.
#[derive(Debug)]
pub(super) struct Subscribed {
    hub: WatchHub,
    town: TownId,
    pub(super) reports: watch::Receiver<Latest>,
}

impl WatchHub {
    /// Returns a hub without watchers. Watches end when `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { towns: Arc::default(), changed: Arc::default(), wake: Arc::default(), stop }
    }

    pub(super) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Adds a watcher of a town.
    pub(super) fn subscribe(&self, town: TownId, owner: &UserId) -> Subscribed {
        let mut towns = self.towns();
        let watched = towns.entry(town).or_insert_with(|| Watched {
            watchers: 0,
            owner: owner.clone(),
            reports: watch::Sender::new(None),
        });
        watched.watchers += 1;
        let mut reports = watched.reports.subscribe();
        reports.mark_unchanged();
        Subscribed { hub: self.clone(), town, reports }
    }

    /// Reads watched towns when they change, until `stop` is cancelled. Without a feed they are read every second.
    pub async fn run(
        &self,
        registry: Arc<dyn Registry>,
        feed: Option<Arc<dyn TownChangeFeed>>,
        stop: CancellationToken,
    ) {
        let poll = feed.as_ref().map_or(POLL, |feed| feed.poll_interval());
        let both = async {
            tokio::join!(self.follow(feed), self.read_changed(registry.as_ref(), poll));
        };
        let _stopped = stop.run_until_cancelled(both).await;
    }

    /// Marks the towns that a feed tells of.
    async fn follow(&self, feed: Option<Arc<dyn TownChangeFeed>>) {
        let Some(feed) = feed else { return };
        let mut is_lost = false;
        loop {
            match feed.changed().await {
                Ok(news) => {
                    is_lost = false;
                    self.mark(news.as_deref());
                }
                Err(error) => {
                    if !is_lost {
                        tracing::warn!(error = &error as &dyn Error, "failed to listen for changes of towns");
                    }
                    is_lost = true;
                }
            }
        }
    }

    async fn read_changed(&self, registry: &dyn Registry, poll: Duration) {
        let mut next_poll = Instant::now() + poll;
        loop {
            if timeout_at(next_poll, self.wake.notified()).await.is_err() {
                next_poll = Instant::now() + poll;
                self.mark(None);
            }
            sleep(COALESCE).await;
            let towns = std::mem::take(&mut *self.changed());
            let reads = towns.into_iter().map(|town| self.read(registry, town));
            let failed: Vec<_> = futures::stream::iter(reads).buffer_unordered(READS).collect().await;
            if failed.contains(&false) {
                sleep_until(Instant::now() + RETRY).await;
                self.wake.notify_one();
            }
        }
    }

    /// Reads a town for its watchers. Returns false if it must be read again.
    async fn read(&self, registry: &dyn Registry, town: TownId) -> bool {
        let Some(owner) = self.towns().get(&town).map(|watched| watched.owner.clone()) else { return true };
        match registry.report(&Caller::Trusted(owner), town).await {
            Ok(report) => {
                self.publish(town, report);
                true
            }
            Err(error) => {
                log_failed_read(town, &error);
                self.changed().insert(town);
                false
            }
        }
    }

    fn publish(&self, town: TownId, report: Option<TownReport>) {
        if let Some(watched) = self.towns().get(&town) {
            watched.reports.send_replace(report.map(Arc::new));
        }
    }

    /// Marks watched towns as changed. `None`: all of them.
    fn mark(&self, news: Option<&[TownId]>) {
        let towns = self.towns();
        let mut changed = self.changed();
        match news {
            Some(news) => changed.extend(news.iter().filter(|town| towns.contains_key(town))),
            None => changed.extend(towns.keys()),
        }
        if !changed.is_empty() {
            self.wake.notify_one();
        }
    }

    fn towns(&self) -> MutexGuard<'_, HashMap<TownId, Watched>> {
        self.towns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> MutexGuard<'_, HashSet<TownId>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_failed_read(town: TownId, error: &StoreError) {
    tracing::debug!(town.id = %town, error = error as &dyn Error, "failed to read watched town");
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let mut towns = self.hub.towns();
        if let Some(watched) = towns.get_mut(&self.town) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                towns.remove(&self.town);
            }
        }
    }
}
