//! Watching the list of a user's towns: the changes that a watcher receives, and the reads that the hub makes for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::ports::{
    Caller, StoreError, TownChangeFeed, TownError, TownListChanges, Towns as _, VerifiedToken,
};
use gastown_domain::{TownId, TownStatus, TownsChanged};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, Replica, alice, request};
use crate::faults::{Call, Fault, Process, Query};

/// The time between two reads without news.
const POLL: Duration = Duration::from_secs(600);
/// A time in which news are read, and nothing is polled.
const SOON: Duration = Duration::from_millis(500);

/// News that a test sends.
struct SentNews(Mutex<mpsc::UnboundedReceiver<TownId>>);

#[async_trait]
impl TownChangeFeed for SentNews {
    async fn changed(&self) -> Result<Option<Vec<TownId>>, StoreError> {
        match self.0.lock().await.recv().await {
            Some(town) => Ok(Some(vec![town])),
            None => std::future::pending().await,
        }
    }

    fn poll_interval(&self) -> Duration {
        POLL
    }
}

/// A process with a running hub.
struct Watching {
    bench: Bench,
    replica: Replica,
    news: mpsc::UnboundedSender<TownId>,
}

impl Watching {
    fn new() -> Self {
        let bench = Bench::new();
        let replica = bench.replica();
        let (news, received) = mpsc::unbounded_channel();
        let registry = bench.ports(&Process::default()).store.registry;
        let hub = replica.towns.watch_hub();
        let feed = Arc::new(SentNews(Mutex::new(received)));
        tokio::spawn(async move { hub.run(registry, Some(feed), CancellationToken::new()).await });
        Self { bench, replica, news }
    }

    /// Returns a watcher that has seen the whole list.
    async fn watcher(&self) -> Box<dyn TownListChanges> {
        let mut watcher = self.replica.towns.watch_towns(&alice(), None).await.unwrap();
        assert!(watcher.next().await.unwrap().is_whole);
        watcher
    }

    async fn create(&self, caller: &str, name: &str) -> TownId {
        let caller = Caller::Trusted(caller.parse().unwrap());
        let town = self.replica.towns.create_town(&caller, request(name)).await.unwrap().town.id;
        self.news.send(town).unwrap();
        town
    }

    fn queries(&self, query: Query) -> usize {
        self.bench.store.schedule().count(Call::Store(query))
    }
}

fn ids(change: &TownsChanged) -> Vec<TownId> {
    change.towns.iter().map(|town| town.state.town.id).collect()
}

/// Returns the next change, which must come without a poll.
async fn soon(watcher: &mut Box<dyn TownListChanges>) -> TownsChanged {
    timeout(SOON, watcher.next()).await.unwrap().unwrap()
}

async fn assert_silent(watcher: &mut Box<dyn TownListChanges>, time: Duration) {
    let change = timeout(time, watcher.next()).await;
    assert!(change.is_err(), "{change:?}");
}

#[tokio::test(start_paused = true)]
async fn new_changed_and_destroyed_towns_arrive() {
    let on = Watching::new();
    let mut watcher = on.watcher().await;
    let mill = on.create("alice", "mill").await;
    let change = soon(&mut watcher).await;
    assert_eq!((change.is_whole, ids(&change), change.gone.len()), (false, vec![mill], 0));

    on.create("alice", "forge").await;
    soon(&mut watcher).await;
    on.replica.towns.stop_town(&alice(), mill).await.unwrap();
    on.news.send(mill).unwrap();
    let change = soon(&mut watcher).await;
    assert_eq!((ids(&change), change.towns[0].state.town.status), (vec![mill], TownStatus::Stopped));

    let destroy = gastown_domain::ports::DestroyTown::until_gone(mill);
    on.replica.towns.destroy_town(&alice(), destroy).await.unwrap();
    on.news.send(mill).unwrap();
    let change = soon(&mut watcher).await;
    assert_eq!((ids(&change), change.gone.clone()), (vec![], vec![mill]));

    // A watcher that resumes where the other one is has missed nothing. One that resumes earlier gets the whole list.
    let mut resumed = on.replica.towns.watch_towns(&alice(), Some(change.position)).await.unwrap();
    assert_silent(&mut resumed, SOON).await;
    on.create("alice", "mint").await;
    assert!(!soon(&mut resumed).await.is_whole);
    let mut late = on.replica.towns.watch_towns(&alice(), Some(change.position)).await.unwrap();
    let whole = soon(&mut late).await;
    assert_eq!((whole.is_whole, whole.towns.len()), (true, 2));
}

#[tokio::test(start_paused = true)]
async fn towns_of_others_are_looked_up_once_and_never_shown() {
    let on = Watching::new();
    let before = on.create("bob", "inn").await;
    tokio::time::sleep(SOON).await;
    assert_eq!(on.queries(Query::Owners), 0, "without a watched list there is no look-up");

    let mut watcher = on.watcher().await;
    let (lists, after) = (on.queries(Query::ListTowns), on.create("bob", "abbey").await);
    for _ in 0..3 {
        on.news.send(before).unwrap();
        on.news.send(after).unwrap();
        assert_silent(&mut watcher, SOON).await;
    }
    assert!((1..=2).contains(&on.queries(Query::Owners)), "{}", on.queries(Query::Owners));
    assert_eq!(on.queries(Query::ListTowns), lists, "the list of alice is not read for the towns of bob");

    // Bob's towns are found although they were looked up when his list was not watched.
    let bob = Caller::Trusted("bob".parse().unwrap());
    let mut of_bob = on.replica.towns.watch_towns(&bob, None).await.unwrap();
    assert_eq!(ids(&soon(&mut of_bob).await), [before, after]);
    on.replica.towns.stop_town(&bob, after).await.unwrap();
    on.news.send(after).unwrap();
    assert_eq!(ids(&soon(&mut of_bob).await), [after]);
    assert_silent(&mut watcher, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn lost_news_and_failed_reads_are_made_up_for() {
    let on = Watching::new();
    let mut watcher = on.watcher().await;
    // The look-up fails, so that nothing says whose town it is until the next poll.
    on.bench.store.schedule().next(Call::Store(Query::Owners), 1, Fault::NotSent);
    let mill = on.create("alice", "mill").await;
    assert_silent(&mut watcher, SOON).await;
    let change = timeout(POLL + SOON, watcher.next()).await.unwrap().unwrap();
    assert_eq!(ids(&change), [mill]);

    // The list cannot be read once, and is read again.
    on.bench.store.schedule().next(Call::Store(Query::ListTowns), 1, Fault::NotSent);
    on.replica.towns.stop_town(&alice(), mill).await.unwrap();
    on.news.send(mill).unwrap();
    let change = timeout(Duration::from_secs(2), watcher.next()).await.unwrap().unwrap();
    assert_eq!(change.towns[0].state.town.status, TownStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_no_change() {
    let on = Watching::new();
    let mill = on.create("alice", "mill").await;
    let mut watcher = on.watcher().await;
    let beat = gastown_domain::Heartbeat {
        town: mill,
        received_at: chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap(),
        report: gastown_domain::SandboxReport::default(),
        synced_at: None,
        is_idle: false,
    };
    on.bench.ports(&Process::default()).store.registry.record_heartbeats(&[beat]).await.unwrap();
    on.news.send(mill).unwrap();
    assert_silent(&mut watcher, 2 * POLL).await;
}

#[tokio::test(start_paused = true)]
async fn watcher_with_a_revoked_token_gets_an_error() {
    let on = Watching::new();
    let pepper = crate::registry::pepper_of(&"alice".parse().unwrap());
    let caller = Caller::Token(VerifiedToken { user: "alice".parse().unwrap(), pepper: Some(pepper) });
    let mut watcher = on.replica.towns.watch_towns(&caller, None).await.unwrap();
    assert!(watcher.next().await.unwrap().is_whole);
    on.bench.store.rows().users.remove(&"alice".parse().unwrap());
    let change = timeout(Duration::from_secs(40), watcher.next()).await.expect("it watches on");
    assert!(matches!(change, Err(TownError::Unauthorized)), "{change:?}");
}
