//! The state of one simulator: its world, its schedule of faults, and its records for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    activity::Activity,
    attachment::{AttachError, Attachments},
    call_log::{CallFilter, CallLog, Calls},
    contract::{Side, Violation},
    control_state::{ControlState, MAX_CALLS},
    faults::{Effect, Fault, FaultSchedule, ScheduledFault},
    program_call::ProgramCall,
    rate_limit::{RateLimiter, RateLimits},
    route::{Call, Route},
    scenario::Scenario,
    seed::{SeedDocument, SeedError},
    workload::Workload,
    world::{SharedWorld, StateError, StoredWorld, World},
};

/// The maximum number of recorded violations of each side. Later ones are not recorded.
const MAX_VIOLATIONS: usize = 10_000;

/// The start of a world, to which a reset returns.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) id_seed: u64,
    pub(crate) epoch: Option<DateTime<Utc>>,
    pub(crate) document: SeedDocument,
    pub(crate) attachments: Attachments,
    pub(crate) rates: RateLimits,
}

/// The state that the gateway, the control API and [`FlySim`](crate::FlySim) share.
#[derive(Debug)]
pub(crate) struct SimState {
    pub(crate) world: SharedWorld,
    origin: Origin,
    /// Cancelled when the simulator stops.
    pub(crate) cancel: CancellationToken,
    pub(crate) activity: Activity,
    rate_limiter: Mutex<RateLimiter>,
    attachments: Mutex<Attachments>,
    faults: Mutex<FaultSchedule>,
    scenario: Mutex<Option<&'static Scenario>>,
    calls: Mutex<CallLog>,
    violations: Mutex<Vec<Violation>>,
    /// Marked when faults, scenario or attachments change. Calls do not mark it.
    control_changes: watch::Sender<()>,
}

impl SimState {
    pub(crate) fn new(world: SharedWorld, origin: Origin, faults: Vec<Fault>, journal_limit: usize) -> Self {
        Self {
            world,
            rate_limiter: Mutex::new(RateLimiter::new(origin.rates)),
            attachments: Mutex::new(origin.attachments.clone()),
            origin,
            cancel: CancellationToken::new(),
            activity: Activity::default(),
            faults: Mutex::new(FaultSchedule::new(faults)),
            scenario: Mutex::default(),
            calls: Mutex::new(CallLog::new(journal_limit)),
            violations: Mutex::default(),
            control_changes: watch::Sender::new(()),
        }
    }

    /// Returns a receiver that is notified when faults, scenario or attachments change.
    pub(crate) fn control_changes(&self) -> watch::Receiver<()> {
        self.control_changes.subscribe()
    }

    /// Returns the faults, the scenario, the attachments and the end of the journal.
    pub(crate) fn control_state(&self) -> ControlState {
        ControlState {
            faults: locked(&self.faults).clone(),
            scenario: self.scenario().map(|scenario| scenario.name.to_owned()),
            attachments: locked(&self.attachments).clone(),
            calls: locked(&self.calls).store(MAX_CALLS),
        }
    }

    /// Continues with what a file has. Programs that are attached from the start stay attached.
    pub(crate) fn restore_control(&self, stored: ControlState) {
        *locked(&self.faults) = stored.faults;
        *locked(&self.scenario) = stored.scenario.as_deref().and_then(Scenario::named);
        *locked(&self.attachments) = stored.attachments.updated_by(&self.origin.attachments);
        locked(&self.calls).restore(stored.calls);
    }

    /// Takes a token of Fly's rate limits for a call. Returns false if there is none.
    pub(crate) fn try_acquire(&self, route: &Route, now: Instant) -> bool {
        locked(&self.rate_limiter).try_acquire(route, now)
    }

    /// Creates the entries of a document.
    pub(crate) fn seed(&self, document: &SeedDocument) -> Result<(), SeedError> {
        self.world.update(|world| document.create_in(world))
    }

    /// Attaches a program to a machine, which is named by its id or as `app/name`.
    pub(crate) fn attach(&self, machine: &str, url: &str) -> Result<(), AttachError> {
        locked(&self.attachments).attach(machine, url)?;
        self.control_changes.send_replace(());
        Ok(())
    }

    /// Detaches a program. Returns true if there was one.
    pub(crate) fn detach(&self, machine: &str) -> bool {
        let detached = locked(&self.attachments).detach(machine);
        self.control_changes.send_replace(());
        detached
    }

    /// Returns the address that is attached under this name.
    pub(crate) fn attachment(&self, machine: &str) -> Option<String> {
        locked(&self.attachments).get(machine).map(ToString::to_string)
    }

    /// Returns the program that is attached to a machine.
    pub(crate) fn attached_to(&self, id: &str, app: &str, name: &str) -> Option<Url> {
        locked(&self.attachments).of(id, app, name)
    }

    /// Replaces the world by a stored one.
    pub(crate) fn restore(&self, document: Value) -> Result<(), StateError> {
        let stored = StoredWorld::parse(document)?;
        self.world.update(|world| world.restore(stored));
        Ok(())
    }

    /// Creates the entries of the initial world.
    pub(crate) fn seed_initially(&self) -> Result<(), SeedError> {
        self.seed(&self.origin.document)
    }

    /// Returns to the start: the world, the attachments and full rate limits, without faults, scenario, calls and
    /// violations.
    pub(crate) fn reset(&self) {
        self.clear_faults();
        self.clear_journal();
        self.activity.clear();
        let Origin { id_seed, epoch, document, attachments, rates } = &self.origin;
        *locked(&self.rate_limiter) = RateLimiter::new(*rates);
        locked(&self.attachments).clone_from(attachments);
        self.control_changes.send_replace(());
        let seeded = self.world.update(|world| {
            *world = World::new(world.settings.clone(), *id_seed, *epoch);
            document.create_in(world)
        });
        if let Err(error) = seeded {
            // The same document was accepted at the start.
            tracing::error!(%error, "failed to seed after a reset");
        }
    }

    /// Returns true unless the call is of a program and the workload does not name it.
    pub(crate) fn knows(&self, call: Call) -> bool {
        let Call::Program(kind) = call else { return true };
        let is_named = |workload: &Arc<dyn Workload>| workload.kinds().contains(&kind);
        kind == ProgramCall::OTHER || self.world.read(|world| world.settings.workload.as_ref().is_some_and(is_named))
    }

    /// Adds a fault to the schedule. Returns its id.
    pub(crate) fn inject(&self, fault: Fault) -> u64 {
        let id = locked(&self.faults).add(fault, None);
        self.control_changes.send_replace(());
        id
    }

    /// Clears the schedule of faults, and ends the scenario.
    pub(crate) fn clear_faults(&self) {
        self.stop_scenario();
        locked(&self.faults).clear();
        self.control_changes.send_replace(());
    }

    /// Removes one fault. Returns true if it was in the schedule.
    pub(crate) fn remove_fault(&self, id: u64) -> bool {
        let removed = locked(&self.faults).remove(id);
        self.control_changes.send_replace(());
        removed
    }

    /// Returns the schedule of faults, oldest first.
    pub(crate) fn faults(&self) -> Vec<ScheduledFault> {
        locked(&self.faults).entries().to_vec()
    }

    /// Replaces the scenario in force.
    pub(crate) fn start_scenario(&self, scenario: &'static Scenario) {
        self.stop_scenario();
        for fault in scenario.faults() {
            locked(&self.faults).add(fault, Some(scenario.name));
        }
        if scenario.takes_hosts_down {
            self.world.update(|world| world.set_all_hosts_down(true));
        }
        *locked(&self.scenario) = Some(scenario);
        self.control_changes.send_replace(());
    }

    /// Ends the scenario in force: its faults are removed, and hosts that it took down are up.
    pub(crate) fn stop_scenario(&self) {
        let ended = locked(&self.scenario).take();
        locked(&self.faults).remove_scenarios();
        self.control_changes.send_replace(());
        if ended.is_some_and(|scenario| scenario.takes_hosts_down) {
            self.world.update(|world| world.set_all_hosts_down(false));
        }
    }

    /// Returns the scenario in force.
    pub(crate) fn scenario(&self) -> Option<&'static Scenario> {
        *locked(&self.scenario)
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
    pub(crate) fn record_violations(&self, found: impl IntoIterator<Item = Violation>) {
        let mut violations = locked(&self.violations);
        for violation in found {
            if count(&violations, violation.side) < MAX_VIOLATIONS {
                violations.push(violation);
            }
        }
    }

    /// Returns the calls that the journal has, in the order of arrival.
    pub(crate) fn calls(&self) -> Calls {
        locked(&self.calls).all()
    }

    /// Returns the calls that match, in the order of arrival.
    pub(crate) fn matching_calls(&self, filter: &CallFilter) -> Calls {
        locked(&self.calls).matching(filter)
    }

    /// Forgets all calls and violations.
    pub(crate) fn clear_journal(&self) {
        locked(&self.calls).clear();
        locked(&self.violations).clear();
    }

    /// Returns the violations so far.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        locked(&self.violations).clone()
    }
}

fn count(violations: &[Violation], side: Side) -> usize {
    violations.iter().filter(|violation| violation.side == side).count()
}

/// Locks a mutex, even one that a panic has poisoned.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
