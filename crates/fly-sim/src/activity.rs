//! The requests that the proxy passes to machines, by which idle ones are known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    clock::SimTime,
    sim_state::{SimState, locked},
    world::World,
};

/// The time between two looks for idle machines.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The requests of one machine.
#[derive(Debug, Clone, Copy)]
struct Requests {
    in_flight: usize,
    last_end: SimTime,
}

/// The machines that a request has reached since their last idle stop.
#[derive(Debug, Default)]
pub(crate) struct Activity(Mutex<HashMap<String, Requests>>);

impl Activity {
    pub(crate) fn begin(&self, machine: &str, now: SimTime) {
        let mut requests = locked(&self.0);
        requests.entry(machine.to_owned()).or_insert(Requests { in_flight: 0, last_end: now }).in_flight += 1;
    }

    pub(crate) fn end(&self, machine: &str, now: SimTime) {
        if let Some(requests) = locked(&self.0).get_mut(machine) {
            requests.in_flight = requests.in_flight.saturating_sub(1);
            requests.last_end = now;
        }
    }

    /// Forgets all requests.
    pub(crate) fn clear(&self) {
        locked(&self.0).clear();
    }

    /// Removes and returns the machines without a request for this time.
    fn take_idle(&self, now: SimTime, after: Duration) -> Vec<String> {
        let is_idle =
            |requests: &Requests| requests.in_flight == 0 && now.saturating_duration_since(requests.last_end) >= after;
        let mut all = locked(&self.0);
        let idle: Vec<String> =
            all.iter().filter(|(_, requests)| is_idle(requests)).map(|(id, _)| id.clone()).collect();
        all.retain(|_, requests| !is_idle(requests));
        idle
    }
}

/// Stops machines that a request has reached and that are idle for this time, until the simulator stops.
pub(crate) async fn stop_idle(state: Arc<SimState>, after: Duration) {
    loop {
        tokio::select! {
            () = state.cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        let now = state.world.read(World::now);
        let idle = state.activity.take_idle(now, after);
        if !idle.is_empty() {
            state.world.update(|world| idle.iter().for_each(|id| world.autostop(id)));
        }
    }
}
