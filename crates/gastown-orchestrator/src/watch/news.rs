//! The changes that a feed has told of and that were not read yet.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gastown_domain::TownId;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The most towns that wait. Beyond them, all may have changed.
const MAX_WAITING: usize = 10_000;

/// The news that wait to be read.
#[derive(Debug, Default)]
pub(super) struct WaitingNews {
    news: Mutex<News>,
    wake: Notify,
}

/// The towns that may have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// True if all of them may have.
    pub(super) all: bool,
    /// The known ones.
    pub(super) towns: HashSet<TownId>,
}

impl WaitingNews {
    /// Adds towns. `None`: all of them may have changed.
    pub(super) fn add(&self, towns: Option<&[TownId]>) {
        let mut news = self.news();
        match towns {
            Some(towns) if news.towns.len() + towns.len() <= MAX_WAITING => news.towns.extend(towns),
            Some(_) | None => *news = News { all: true, towns: HashSet::new() },
        }
        drop(news);
        self.wake.notify_one();
    }

    /// Wakes the reader, although there are no news.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for news. Returns false if none came in time.
    pub(super) async fn wait_until(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.wake.notified()).await.is_ok()
    }

    /// Takes the news.
    pub(super) fn take(&self) -> News {
        std::mem::take(&mut *self.news())
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    /// Returns true if the town may have changed.
    pub(super) fn contains(&self, town: TownId) -> bool {
        self.all || self.towns.contains(&town)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn news_are_taken_once_and_bounded() {
        let waiting = WaitingNews::default();
        let town = |number| TownId::new(Uuid::from_u128(number));
        waiting.add(Some(&[town(1), town(2)]));
        waiting.add(Some(&[town(1)]));
        assert_eq!(waiting.take(), News { all: false, towns: HashSet::from([town(1), town(2)]) });
        assert_eq!(waiting.take(), News::default());
        let many: Vec<_> = (0..20_000).map(town).collect();
        waiting.add(Some(&many));
        let news = waiting.take();
        assert!(news.towns.is_empty() && news.contains(town(30_000)), "all may have changed");
    }
}
