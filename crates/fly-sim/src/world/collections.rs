//! The machines and volumes of a world, with the indexes that keep a call's cost independent of their number.

use std::collections::{BTreeMap, HashMap, btree_map::Values};

use super::model::{Machine, Volume};
use crate::machine_state::State;

/// All machines by id, including destroyed ones.
///
/// The state of a machine changes by [`Machines::set_state`] only, which counts it.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    by_id: BTreeMap<String, Machine>,
    /// The last machine of each app and name.
    by_name: HashMap<String, HashMap<String, String>>,
    /// The machines of each app that are neither destroyed nor being destroyed.
    active: HashMap<String, usize>,
    /// The machines that are not destroyed.
    existing: usize,
}

impl Machines {
    pub(crate) fn insert(&mut self, machine: Machine) {
        self.count(&machine.app.clone(), None, Some(machine.state));
        let names = self.by_name.entry(machine.app.clone()).or_default();
        names.insert(machine.name.clone(), machine.id.clone());
        self.by_id.insert(machine.id.clone(), machine);
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Machine> {
        let machine = self.by_id.remove(id)?;
        self.count(&machine.app, Some(machine.state), None);
        Some(machine)
    }

    /// Removes all machines of an app.
    pub(crate) fn remove_app(&mut self, app: &str) {
        let ids: Vec<String> = self.values().filter(|machine| machine.app == app).map(|m| m.id.clone()).collect();
        for id in ids {
            self.remove(&id);
        }
        self.by_name.remove(app);
        self.active.remove(app);
    }

    pub(crate) fn set_state(&mut self, id: &str, state: State) {
        let Some(machine) = self.by_id.get_mut(id) else { return };
        let (before, app) = (std::mem::replace(&mut machine.state, state), machine.app.clone());
        self.count(&app, Some(before), Some(state));
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Machine> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Machine> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn contains_key(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn values(&self) -> Values<'_, String, Machine> {
        self.by_id.values()
    }

    /// Returns the machine of this name that is not destroyed.
    pub(crate) fn named(&self, app: &str, name: &str) -> Option<&Machine> {
        let id = self.by_name.get(app)?.get(name)?;
        self.by_id.get(id).filter(|machine| machine.state != State::Destroyed)
    }

    /// Returns the number of machines that are not destroyed.
    pub(crate) fn existing(&self) -> usize {
        self.existing
    }

    /// Returns the number of an app's machines that are neither destroyed nor being destroyed.
    pub(crate) fn active(&self, app: &str) -> usize {
        self.active.get(app).copied().unwrap_or(0)
    }

    /// Counts a change of a state.
    fn count(&mut self, app: &str, before: Option<State>, after: Option<State>) {
        let exists = |state: Option<State>| usize::from(state.is_some_and(|state| state != State::Destroyed));
        let is_active = |state: Option<State>| usize::from(state.is_some_and(|s| !s.is_destroyed_or_destroying()));
        self.existing = self.existing + exists(after) - exists(before);
        let active = self.active.entry(app.to_owned()).or_default();
        *active = *active + is_active(after) - is_active(before);
    }
}

impl FromIterator<Machine> for Machines {
    fn from_iter<I: IntoIterator<Item = Machine>>(machines: I) -> Self {
        let mut sorted: Vec<Machine> = machines.into_iter().collect();
        // The last machine of a name must be inserted last.
        sorted.sort_by_key(|machine| machine.creation);
        let mut all = Self::default();
        for machine in sorted {
            all.insert(machine);
        }
        all
    }
}

/// All volumes by id, including deleted ones that are still readable.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    by_id: BTreeMap<String, Volume>,
    /// The volumes of each app.
    counts: HashMap<String, usize>,
}

impl Volumes {
    pub(crate) fn insert(&mut self, volume: Volume) {
        *self.counts.entry(volume.app.clone()).or_default() += 1;
        self.by_id.insert(volume.id.clone(), volume);
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Volume> {
        let volume = self.by_id.remove(id)?;
        if let Some(count) = self.counts.get_mut(&volume.app) {
            *count -= 1;
        }
        Some(volume)
    }

    /// Removes all volumes of an app.
    pub(crate) fn remove_app(&mut self, app: &str) {
        self.by_id.retain(|_, volume| volume.app != app);
        self.counts.remove(app);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Volume> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Volume> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn contains_key(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn values(&self) -> Values<'_, String, Volume> {
        self.by_id.values()
    }

    /// Returns the number of an app's volumes.
    pub(crate) fn count(&self, app: &str) -> usize {
        self.counts.get(app).copied().unwrap_or(0)
    }
}

impl FromIterator<Volume> for Volumes {
    fn from_iter<I: IntoIterator<Item = Volume>>(volumes: I) -> Self {
        let mut all = Self::default();
        volumes.into_iter().for_each(|volume| all.insert(volume));
        all
    }
}
