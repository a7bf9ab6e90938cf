//! The news of changed towns: within a process, between processes, and after a lost connection.

use std::time::Duration;

use gastown_domain::ports::TownChangeFeed as _;
use gastown_domain::{OperationKind, TownId};
use gastown_persistence::ChangeFeed;
use tokio::time::timeout;

use crate::bed::{Bed, on_both};

on_both! {
    changes_of_the_same_process_are_told,
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a feed tells of a town.
async fn told(feed: &ChangeFeed, town: TownId) {
    let told = async { while !feed.changed().await.unwrap_or_default().is_some_and(|news| news.contains(&town)) {} };
    timeout(PATIENCE, told).await.unwrap();
}

async fn changes_of_the_same_process_are_told(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let feed = bed.database.change_feed();
    told(&feed, town.id).await;
    bed.request(&town, OperationKind::Stop).await;
    told(&feed, town.id).await;
    let silent = timeout(Duration::from_millis(50), feed.changed()).await;
    assert!(
        silent.is_err() || silent.unwrap().unwrap().is_none_or(|news| news == [town.id]),
        "a town without a change"
    );
}

/// Checks that the changes of one process are told in another one, also after the connection of the listener was lost.
async fn told_in_another_process(bed: Bed) {
    let town = bed.running("alice", "mill").await;
    let other = bed.again(|_| {}).await;
    let (feed, other) = (bed.database.change_feed(), other.change_feed());
    assert_eq!(
        timeout(PATIENCE, other.changed()).await.unwrap().unwrap(),
        None,
        "it listens, and may have missed news"
    );
    let sending = tokio::spawn(async move {
        loop {
            let _sent = feed.changed().await;
        }
    });
    bed.request(&town, OperationKind::Stop).await;
    told(&other, town.id).await;

    bed.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
        .await;
    // The listener says that news may be lost, and then tells again.
    let lost = async { while other.changed().await.is_ok_and(|news| news.is_some()) {} };
    timeout(PATIENCE, lost).await.unwrap();
    let stop = bed.claimed(town.id, "one").await;
    let again = async {
        loop {
            bed.request(&town, OperationKind::Destroy).await;
            if timeout(Duration::from_secs(2), told(&other, town.id)).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.unwrap();
    drop(stop);
    sending.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_another_process_are_told() {
    told_in_another_process(Bed::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_another_process_are_told_behind_pgbouncer() {
    told_in_another_process(Bed::behind_pgbouncer().await).await;
}
