//! The hub: which towns and lists are watched, and their last values.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use gastown_domain::ports::{Caller, Registry, StoreError, TownChangeFeed, TownReport, TownSummary};
use gastown_domain::{TownId, UserId};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::news::{News, WaitingNews};
use super::topics::Topics;

/// The pause before towns are read, in which more news of them may arrive.
const COALESCE: Duration = Duration::from_millis(50);
/// The pause after a failed read.
const RETRY: Duration = Duration::from_secs(1);
/// The time between two reads without news, where nothing tells of changes.
const POLL: Duration = Duration::from_secs(1);
/// The reads at a time.
const READS: usize = 4;
/// The towns that are remembered as those of users without watchers.
const MAX_FOREIGN: usize = 100_000;

/// A watched town, with its owner.
pub(super) type WatchedTown = (UserId, TownId);
/// The last report of a watched town. `None`: nothing is left of it.
pub(super) type LatestReport = Option<Arc<TownReport>>;
/// The last list of a user's towns. `None`: it was not read yet.
pub(super) type LatestList = Option<Arc<Vec<TownSummary>>>;

/// The watched towns and lists of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WatchHub {
    pub(super) towns: Topics<WatchedTown, LatestReport>,
    pub(super) lists: Topics<UserId, LatestList>,
    news: Arc<WaitingNews>,
    /// Towns of users whose lists were not watched when the owner was looked up. Their owners' lists name them if they are
    /// watched later, because an owner never changes.
    foreign: Arc<Mutex<HashSet<TownId>>>,
    stop: CancellationToken,
}

impl WatchHub {
    /// Returns a hub without watchers. Watches end when `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { towns: Topics::default(), lists: Topics::default(), news: Arc::default(), foreign: Arc::default(), stop }
    }

    pub(super) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Reads watched towns and lists when they change, until `stop` is cancelled. Without a feed they are read every second.
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

    /// Collects the news of a feed.
    async fn follow(&self, feed: Option<Arc<dyn TownChangeFeed>>) {
        let Some(feed) = feed else { return };
        let mut is_lost = false;
        loop {
            match feed.changed().await {
                Ok(news) => {
                    is_lost = false;
                    self.news.add(news.as_deref());
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
            if !self.news.wait_until(next_poll).await {
                next_poll = Instant::now() + poll;
                self.news.add(None);
            }
            sleep(COALESCE).await;
            let news = self.news.take();
            self.towns.mark(|(_, town), _| news.contains(*town));
            self.mark_lists(registry, &news).await;
            if !self.read_marked(registry).await {
                sleep_until(Instant::now() + RETRY).await;
                self.news.wake();
            }
        }
    }

    /// Marks the lists that the news concern: those that have such a town, and those of the owners of other towns.
    async fn mark_lists(&self, registry: &dyn Registry, news: &News) {
        if self.lists.is_empty() {
            return;
        }
        let owners = self.owners_of_new(registry, news).await;
        self.lists.mark(|owner, list| {
            let has_changed = |list: &Arc<Vec<TownSummary>>| list.iter().any(|town| news.contains(town.state.town.id));
            news.all || owners.contains(owner) || list.as_ref().is_some_and(has_changed)
        });
    }

    /// Returns the watched owners of towns that no watched list has. Each town is looked up once. A failed look-up is not
    /// repeated, because all lists are also read from time to time.
    async fn owners_of_new(&self, registry: &dyn Registry, news: &News) -> HashSet<UserId> {
        let ids = |list: &LatestList| list.iter().flat_map(|list| list.iter()).map(|town| town.state.town.id).collect();
        let listed: HashSet<TownId> = self.lists.collect::<_, _, Vec<_>>(ids);
        let unknown: Vec<_> = {
            let foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
            news.towns.iter().copied().filter(|town| !listed.contains(town) && !foreign.contains(town)).collect()
        };
        if unknown.is_empty() {
            return HashSet::new();
        }
        match registry.owners(&unknown).await {
            Ok(found) => self.watched_owners(found),
            Err(error) => {
                tracing::debug!(error = &error as &dyn Error, "failed to look up owners of changed towns");
                HashSet::new()
            }
        }
    }

    /// Returns the owners whose lists are watched, and remembers the towns of the others.
    fn watched_owners(&self, found: Vec<(TownId, UserId)>) -> HashSet<UserId> {
        let (watched, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, owner)| self.lists.contains(owner));
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        if foreign.len() + others.len() > MAX_FOREIGN {
            foreign.clear();
        }
        foreign.extend(others.into_iter().map(|(town, _)| town));
        watched.into_iter().map(|(_, owner)| owner).collect()
    }

    /// Reads what is marked for its watchers. Returns false if something must be read again.
    async fn read_marked(&self, registry: &dyn Registry) -> bool {
        let towns = self.towns.take_changed().into_iter().map(|town| self.read_town(registry, town));
        let are_read: Vec<_> = futures::stream::iter(towns).buffer_unordered(READS).collect().await;
        let lists = self.lists.take_changed().into_iter().map(|owner| self.read_list(registry, owner));
        let are_listed: Vec<_> = futures::stream::iter(lists).buffer_unordered(READS).collect().await;
        !are_read.contains(&false) && !are_listed.contains(&false)
    }

    async fn read_town(&self, registry: &dyn Registry, key: WatchedTown) -> bool {
        let read = registry.report(&Caller::Trusted(key.0.clone()), key.1).await;
        let report = read.inspect_err(|error| log_failed_read(&key.0, Some(key.1), error));
        published(&self.towns, key, report.map(|report| report.map(Arc::new)))
    }

    async fn read_list(&self, registry: &dyn Registry, owner: UserId) -> bool {
        let read = registry.list(&Caller::Trusted(owner.clone())).await;
        let list = read.inspect_err(|error| log_failed_read(&owner, None, error));
        published(&self.lists, owner, list.map(|list| Some(Arc::new(list))))
    }
}

/// Publishes what was read, or marks it to be read again. Returns false then.
fn published<K, V>(topics: &Topics<K, V>, key: K, read: Result<V, StoreError>) -> bool
where
    K: Eq + std::hash::Hash + Clone,
    V: Default,
{
    let is_read = read.is_ok();
    if let Ok(value) = read {
        topics.publish(&key, value);
    } else {
        topics.mark_again(key);
    }
    is_read
}

fn log_failed_read(owner: &UserId, town: Option<TownId>, error: &StoreError) {
    let town = town.map(tracing::field::display);
    tracing::debug!(user.id = %owner, town.id = town, error = error as &dyn Error, "failed to read watched town");
}
