//! An amount for each caller, such as bytes or places, that is given back when its guard is dropped.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The amounts of all callers. Nothing is kept of callers without one.
#[derive(Clone, Default)]
pub(super) struct PerCaller(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    callers: HashMap<u64, usize>,
    /// The sum over all callers.
    all: usize,
}

/// An amount of a caller, until it is dropped.
pub(super) struct Held {
    of: PerCaller,
    caller: u64,
    amount: usize,
}

impl PerCaller {
    /// Returns the amount of a caller.
    pub(super) fn of(&self, caller: u64) -> usize {
        self.state().callers.get(&caller).copied().unwrap_or_default()
    }

    /// Adds to the amount of a caller, unless `check` refuses. It receives the amounts of the caller and of all before that.
    pub(super) fn add<E>(
        &self,
        caller: u64,
        amount: usize,
        check: impl FnOnce(usize, usize) -> Result<(), E>,
    ) -> Result<Held, E> {
        let mut state = self.state();
        let own = state.callers.get(&caller).copied().unwrap_or_default();
        check(own, state.all)?;
        state.callers.insert(caller, own + amount);
        state.all += amount;
        Ok(Held { of: self.clone(), caller, amount })
    }

    /// Returns the number of callers with an amount.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.state().callers.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.of.state();
        state.all -= self.amount;
        if let Some(own) = state.callers.get_mut(&self.caller) {
            *own -= self.amount;
            if *own == 0 {
                state.callers.remove(&self.caller);
            }
        }
    }
}
