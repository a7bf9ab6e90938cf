//! The news of changed towns: from this process at once, and from other processes by `NOTIFY` of Postgres.
//!
//! A write adds its town to the outbox after its commit. One task sends the outbox, so that writes neither wait for each
//! other nor for it. A process that dies in between loses its news, and watched towns are also read from time to time.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::Backoff;
use gastown_domain::TownId;
use gastown_domain::ports::{StoreError, TownChangeFeed};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use crate::Database;
use crate::error::driver_failed;

/// The name of the channel. All processes of a database use it.
const CHANNEL: &str = "gastown_town_changes";
/// The most towns of one notification, whose text has at most 8000 bytes.
const MAX_NOTIFIED: usize = 200;
/// The most towns that wait to be sent. Beyond them, all may have changed.
const MAX_WAITING: usize = 10_000;
/// The time limit for a connection and for a notification.
const ANSWER: Duration = Duration::from_secs(5);
/// The pauses between attempts to connect.
const PAUSE: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(30) };
/// How often watched towns are read without news: as a reserve, and where other processes cannot notify.
const POLL_POSTGRES: Duration = Duration::from_secs(10);
const POLL_SQLITE: Duration = Duration::from_secs(1);

/// The changed towns of this process that were not told yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    towns: Mutex<BTreeSet<Uuid>>,
    wake: Notify,
}

impl Outbox {
    /// Adds a town whose rows were changed and committed.
    pub(crate) fn add(&self, town: TownId) {
        let mut towns = self.towns();
        // Without a task that sends them, as in a command, the oldest stay.
        if towns.len() < MAX_WAITING {
            towns.insert(town.as_uuid());
        }
        self.wake.notify_one();
    }

    /// Waits for changed towns and takes them.
    async fn take(&self) -> Vec<TownId> {
        loop {
            let taken = std::mem::take(&mut *self.towns());
            if !taken.is_empty() {
                return taken.into_iter().map(TownId::new).collect();
            }
            self.wake.notified().await;
        }
    }

    fn towns(&self) -> MutexGuard<'_, BTreeSet<Uuid>> {
        self.towns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The news of changed towns. On Postgres it has one connection of its own.
#[derive(Debug)]
pub struct ChangeFeed {
    database: Database,
    listening: tokio::sync::Mutex<Listening>,
}

#[derive(Debug, Default)]
struct Listening {
    listener: Option<PgListener>,
    failures: u32,
}

impl Database {
    /// Returns the news of changed towns. One task of the process reads them.
    pub fn change_feed(&self) -> ChangeFeed {
        ChangeFeed { database: self.clone(), listening: tokio::sync::Mutex::default() }
    }

    /// Tells those who watch the town, here and in other processes.
    pub(crate) fn changed<T>(&self, town: TownId, written: Result<T, StoreError>) -> Result<T, StoreError> {
        if written.is_ok() {
            self.outbox.add(town);
        }
        written
    }
}

#[async_trait]
impl TownChangeFeed for ChangeFeed {
    async fn changed(&self) -> Result<Option<Vec<TownId>>, StoreError> {
        let outbox = &self.database.outbox;
        let Some(pool) = &self.database.notifications else { return Ok(Some(outbox.take().await)) };
        let mut listening = self.listening.lock().await;
        let Listening { listener, failures } = &mut *listening;
        let Some(connected) = listener else {
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause(*failures)) => {}
                towns = outbox.take() => return Ok(Some(towns)),
            }
            *failures = failures.saturating_add(1);
            *listener = Some(listen(pool).await?);
            *failures = 0;
            return Ok(None);
        };
        let news = tokio::select! {
            towns = outbox.take() => notify(connected, &towns).await.map(|()| Some(towns)),
            // Without a notification, the connection was lost and is opened again.
            news = connected.try_recv() => news.map(|news| news.map(|news| towns_in(news.payload()))),
        };
        news.map_err(|error| {
            (*listener, *failures) = (None, 1);
            driver_failed(error)
        })
    }

    fn poll_interval(&self) -> Duration {
        if self.database.notifications.is_some() { POLL_POSTGRES } else { POLL_SQLITE }
    }
}

fn pause(failures: u32) -> Duration {
    if failures == 0 { Duration::ZERO } else { PAUSE.delay(failures, rand::random()) }
}

async fn listen(pool: &PgPool) -> Result<PgListener, StoreError> {
    let connect = async {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    };
    in_time(connect).await.map_err(driver_failed)
}

async fn notify(listener: &mut PgListener, towns: &[TownId]) -> Result<(), sqlx::Error> {
    for part in towns.chunks(MAX_NOTIFIED) {
        let text: Vec<_> = part.iter().map(|town| town.as_uuid().simple().to_string()).collect();
        let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(text.join(","));
        in_time(async { notify.execute(&mut *listener).await.map(drop) }).await?;
    }
    Ok(())
}

async fn in_time<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(ANSWER, call).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Returns the towns of a notification. Other texts are ignored.
fn towns_in(payload: &str) -> Vec<TownId> {
    payload.split(',').filter_map(|id| Uuid::try_parse(id).ok()).map(TownId::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn outbox_tells_each_town_once_and_is_bounded() {
        let outbox = Outbox::default();
        let town = |number| TownId::new(Uuid::from_u128(number));
        outbox.add(town(1));
        outbox.add(town(2));
        outbox.add(town(1));
        assert_eq!(outbox.take().await, [town(1), town(2)]);
        for number in 0..20_000 {
            outbox.add(town(number));
        }
        assert_eq!(outbox.take().await.len(), MAX_WAITING);
    }

    #[test]
    fn notifications_of_others_are_ignored() {
        let id = Uuid::from_u128(7);
        assert_eq!(towns_in(&format!("{},nonsense,", id.simple())), [TownId::new(id)]);
        assert_eq!(towns_in(""), []);
    }
}
