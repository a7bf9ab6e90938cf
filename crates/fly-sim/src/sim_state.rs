//! The state of one simulator: its world, its schedule of faults, and its records for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::{
    call_log::{CallLog, CallRecord},
    contract::Violation,
    faults::{Effect, Fault, FaultSchedule},
    program_call::ProgramCall,
    route::{Call, Route},
    workload::Workload,
    world::SharedWorld,
};

/// The state that the gateway, the control API and [`FlySim`](crate::FlySim) share.
#[derive(Debug)]
pub(crate) struct SimState {
    pub(crate) world: SharedWorld,
    /// Cancelled when the simulator stops.
    pub(crate) cancel: CancellationToken,
    faults: Mutex<FaultSchedule>,
    calls: Mutex<CallLog>,
    violations: Mutex<Vec<Violation>>,
}

impl SimState {
    pub(crate) fn new(world: SharedWorld, faults: Vec<Fault>) -> Self {
        Self {
            world,
            cancel: CancellationToken::new(),
            faults: Mutex::new(FaultSchedule::new(faults)),
            calls: Mutex::new(CallLog::new()),
            violations: Mutex::default(),
        }
    }

    /// Returns true unless the call is of a program and the workload does not name it.
    pub(crate) fn knows(&self, call: Call) -> bool {
        let Call::Program(kind) = call else { return true };
        let is_named = |workload: &Arc<dyn Workload>| workload.kinds().contains(&kind);
        kind == ProgramCall::OTHER || self.world.read(|world| world.settings.workload.as_ref().is_some_and(is_named))
    }

    /// Adds a fault to the schedule.
    pub(crate) fn inject(&self, fault: Fault) {
        locked(&self.faults).add(fault);
    }

    /// Clears the schedule of faults.
    pub(crate) fn clear_faults(&self) {
        locked(&self.faults).clear();
    }

    /// Counts a call for the schedule of faults and returns the effect on it.
    pub(crate) fn next_effect(&self, route: &Route, region: Option<&str>, call: usize) -> Option<Effect> {
        let effect = locked(&self.faults).next_effect(route.call, &route.app, region);
        if effect.is_some() {
            locked(&self.calls).record_fault(call);
        }
        effect
    }

    /// Records the arrival of a call and returns its number.
    pub(crate) fn record_call(&self, route: &Route, method: &str, path: &str) -> usize {
        locked(&self.calls).record_call(route, method, path)
    }

    /// Records the status of the answer to a call.
    pub(crate) fn record_status(&self, call: usize, status: u16) {
        locked(&self.calls).record_status(call, status);
    }

    /// Records violations of Fly's document.
    pub(crate) fn record_violations(&self, violations: impl IntoIterator<Item = Violation>) {
        locked(&self.violations).extend(violations);
    }

    /// Returns the calls so far, in the order of arrival.
    pub(crate) fn calls(&self) -> Vec<CallRecord> {
        locked(&self.calls).records().to_vec()
    }

    /// Returns the calls with a higher number than `after`, in the order of arrival.
    pub(crate) fn calls_after(&self, after: usize) -> Vec<CallRecord> {
        locked(&self.calls).records().iter().skip(after).cloned().collect()
    }

    /// Returns the violations so far.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        locked(&self.violations).clone()
    }
}

/// Locks a mutex, even one that a panic has poisoned.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
