//! What this process is at already.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// One seat for each piece of work, so that no two tasks of a process are at the same.
#[derive(Debug, Clone)]
pub(crate) struct Seats<K: Eq + Hash + Copy>(Arc<Mutex<HashSet<K>>>);

impl<K: Eq + Hash + Copy> Default for Seats<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Copy> Seats<K> {
    /// The seat, until it is dropped; `None` while somebody has it.
    pub(crate) fn take(&self, key: K) -> Option<Seat<K>> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        free.then(|| Seat { seats: self.clone(), key })
    }
}

/// A seat that is taken.
#[derive(Debug)]
pub(crate) struct Seat<K: Eq + Hash + Copy> {
    seats: Seats<K>,
    key: K,
}

impl<K: Eq + Hash + Copy> Drop for Seat<K> {
    fn drop(&mut self) {
        self.seats.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
