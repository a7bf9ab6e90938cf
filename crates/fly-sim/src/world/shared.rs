//! The world behind a lock, with notification of changes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::state::World;

/// A handle on the shared world. The lock is never held across an await.
#[derive(Debug, Clone)]
pub(crate) struct SharedWorld {
    world: Arc<Mutex<World>>,
    changes: watch::Sender<u64>,
}

impl SharedWorld {
    pub(crate) fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), changes: watch::Sender::new(0) }
    }

    /// Advances the world to the current time, updates it and notifies all waiters.
    pub(crate) fn update<T>(&self, update: impl FnOnce(&mut World) -> T) -> T {
        let result = {
            let mut world = self.lock();
            world.catch_up();
            update(&mut world)
        };
        self.notify();
        result
    }

    /// Advances the world to the current time and reads it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        let (result, has_changed) = {
            let mut world = self.lock();
            let has_changed = world.catch_up();
            (read(&world), has_changed)
        };
        if has_changed {
            self.notify();
        }
        result
    }

    /// Reads the world after every change until `read` returns a value or `deadline` has passed.
    ///
    /// It reads once more after the deadline.
    pub(crate) async fn wait_for<T>(&self, deadline: Instant, mut read: impl FnMut(&World) -> Option<T>) -> Option<T> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(found) = self.read(&mut read) {
                return Some(found);
            }
            // `changed` cannot fail, because `self` owns the sender.
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                return self.read(&mut read);
            }
        }
    }

    /// Applies scheduled events when they are due, until `cancel` is cancelled.
    pub(crate) async fn run_clock(self, cancel: CancellationToken) {
        const MAX_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let next = self.read(World::next_due).unwrap_or_else(|| Instant::now() + MAX_SLEEP);
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// Returns a receiver that sees every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
