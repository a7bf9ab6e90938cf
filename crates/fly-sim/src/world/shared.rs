//! The world behind a lock, and the news that it changed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::state::World;

/// A handle on the one world. No lock is held across an await.
#[derive(Debug, Clone)]
pub(crate) struct SharedWorld {
    world: Arc<Mutex<World>>,
    changes: watch::Sender<u64>,
}

impl SharedWorld {
    pub(crate) fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), changes: watch::Sender::new(0) }
    }

    /// Changes the world as it is now, and tells everybody who waits.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let answer = {
            let mut world = self.lock();
            world.settle(Instant::now());
            change(&mut world)
        };
        self.changes.send_modify(|count| *count += 1);
        answer
    }

    /// Looks at the world as it is now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        let (answer, happened) = {
            let mut world = self.lock();
            let happened = world.settle(Instant::now());
            (look(&world), happened)
        };
        if happened {
            self.changes.send_modify(|count| *count += 1);
        }
        answer
    }

    /// Looks again after every change until `look` finds what it wants or `deadline` has passed; then the last look.
    pub(crate) async fn watch<T>(&self, deadline: Instant, mut look: impl FnMut(&World) -> Option<T>) -> Option<T> {
        let mut news = self.changes.subscribe();
        loop {
            news.borrow_and_update();
            if let Some(found) = self.look(&mut look) {
                return Some(found);
            }
            // The sender lives as long as `self`: the only error of `changed` cannot occur.
            if tokio::time::timeout_at(deadline, news.changed()).await.is_err() {
                return self.look(&mut look);
            }
        }
    }

    /// Makes scheduled events happen on time while nobody looks. Ends with `cancel`.
    pub(crate) async fn keep_time(self, cancel: CancellationToken) {
        const FAR: Duration = Duration::from_secs(24 * 60 * 60);
        let mut news = self.changes.subscribe();
        loop {
            news.borrow_and_update();
            let next = self.look(World::next_due).unwrap_or_else(|| Instant::now() + FAR);
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
                _ = news.changed() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
