//! The work that this process is doing.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// A set of keys in flight, so that no two tasks of a process do the same work.
#[derive(Debug, Clone)]
pub(crate) struct InFlightSet<K: Eq + Hash + Copy>(Arc<Mutex<HashSet<K>>>);

impl<K: Eq + Hash + Copy> Default for InFlightSet<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Copy> InFlightSet<K> {
    /// Inserts the key until the guard is dropped. Returns `None` while it is in flight.
    pub(crate) fn insert(&self, key: K) -> Option<InFlightGuard<K>> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        is_new.then(|| InFlightGuard { set: self.clone(), key })
    }
}

/// Keeps a key in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard<K: Eq + Hash + Copy> {
    set: InFlightSet<K>,
    key: K,
}

impl<K: Eq + Hash + Copy> Drop for InFlightGuard<K> {
    fn drop(&mut self) {
        self.set.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
