//! The watched keys of one kind, with the last value of each.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The watched keys of one kind, while they have watchers. Cheap to clone.
#[derive(Debug)]
pub(super) struct Topics<K, V> {
    state: Arc<Mutex<State<K, V>>>,
}

#[derive(Debug)]
struct State<K, V> {
    topics: HashMap<K, Topic<V>>,
    /// The keys whose value must be read.
    changed: HashSet<K>,
}

#[derive(Debug)]
struct Topic<V> {
    watchers: usize,
    values: watch::Sender<V>,
}

/// A watched key of one watcher, until it is dropped.
#[derive(Debug)]
pub(super) struct Subscribed<K: Eq + Hash, V> {
    topics: Topics<K, V>,
    key: K,
    pub(super) values: watch::Receiver<V>,
}

impl<K, V> Clone for Topics<K, V> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<K, V> Default for Topics<K, V> {
    fn default() -> Self {
        Self { state: Arc::new(Mutex::new(State { topics: HashMap::new(), changed: HashSet::new() })) }
    }
}

impl<K, V> Topics<K, V> {
    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone, V: Default> Topics<K, V> {
    /// Adds a watcher of a key. It hears of the values that are published from now on.
    pub(super) fn subscribe(&self, key: K) -> Subscribed<K, V> {
        let mut state = self.state();
        let new = || Topic { watchers: 0, values: watch::Sender::new(V::default()) };
        let topic = state.topics.entry(key.clone()).or_insert_with(new);
        topic.watchers += 1;
        let mut values = topic.values.subscribe();
        values.mark_unchanged();
        drop(state);
        Subscribed { topics: self.clone(), key, values }
    }

    /// Marks watched keys as changed. The condition gets the last value of each.
    pub(super) fn mark(&self, is_changed: impl Fn(&K, &V) -> bool) {
        let State { topics, changed } = &mut *self.state();
        let marked = topics.iter().filter(|(key, topic)| is_changed(key, &topic.values.borrow()));
        changed.extend(marked.map(|(key, _)| key.clone()));
    }

    /// Marks one key as changed, if it is watched.
    pub(super) fn mark_again(&self, key: K) {
        let State { topics, changed } = &mut *self.state();
        if topics.contains_key(&key) {
            changed.insert(key);
        }
    }

    /// Takes the watched keys whose value must be read.
    pub(super) fn take_changed(&self) -> Vec<K> {
        let State { topics, changed } = &mut *self.state();
        changed.drain().filter(|key| topics.contains_key(key)).collect()
    }

    /// Publishes a value to the watchers of a key.
    pub(super) fn publish(&self, key: &K, value: V) {
        if let Some(topic) = self.state().topics.get(key) {
            topic.values.send_replace(value);
        }
    }

    /// Returns what a function finds in the last values of the watched keys.
    pub(super) fn collect<T, C: Extend<T> + Default, I: IntoIterator<Item = T>>(&self, find: impl Fn(&V) -> I) -> C {
        let mut found = C::default();
        for topic in self.state().topics.values() {
            found.extend(find(&topic.values.borrow()));
        }
        found
    }

    /// Returns true if the key is watched.
    pub(super) fn contains(&self, key: &K) -> bool {
        self.state().topics.contains_key(key)
    }

    /// Returns true if nothing is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.state().topics.is_empty()
    }
}

impl<K: Eq + Hash, V> Subscribed<K, Option<V>> {
    /// Publishes a value, unless there is one. It may be older than the one that is there.
    pub(super) fn publish_first(&self, value: Option<V>) {
        if let Some(topic) = self.topics.state().topics.get(&self.key) {
            topic.values.send_if_modified(|present| {
                let is_first = present.is_none();
                if is_first {
                    *present = value;
                }
                is_first
            });
        }
    }
}

impl<K: Eq + Hash, V> Drop for Subscribed<K, V> {
    fn drop(&mut self) {
        let State { topics, changed } = &mut *self.topics.state();
        let Some(topic) = topics.get_mut(&self.key) else { return };
        topic.watchers -= 1;
        if topic.watchers == 0 {
            topics.remove(&self.key);
            changed.remove(&self.key);
        }
    }
}
