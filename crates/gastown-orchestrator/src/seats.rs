//! What this process is at already.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// One seat for each piece of work, so that no two tasks of a process are at the same.
#[derive(Debug, Clone)]
pub(crate) struct InFlightSet<K: Eq + Hash + Copy>(Arc<Mutex<HashSet<K>>>);

impl<K: Eq + Hash + Copy> Default for InFlightSet<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Copy> InFlightSet<K> {
    /// The seat, until it is dropped; `None` while somebody has it.
    pub(crate) fn take(&self, key: K) -> Option<InFlightGuard<K>> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        free.then(|| InFlightGuard { seats: self.clone(), key })
    }
}

/// A seat that is taken.
#[derive(Debug)]
pub(crate) struct InFlightGuard<K: Eq + Hash + Copy> {
    seats: InFlightSet<K>,
    key: K,
}

impl<K: Eq + Hash + Copy> Drop for InFlightGuard<K> {
    fn drop(&mut self) {
        self.seats.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
