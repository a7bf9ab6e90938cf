//! The services of machines: the proxy starts machines for requests, and stops idle ones.

use serde_json::Value;

use super::{event_queue::Transition, model::Machine, state::World};
use crate::machine_state::State;

impl Machine {
    /// Returns the values of a field of the services.
    fn service_fields<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a Value> {
        let services = self.config.get("services").and_then(Value::as_array);
        services.into_iter().flatten().filter_map(move |service| service.get(field))
    }

    pub(crate) fn has_started(&self) -> bool {
        self.state == State::Started
    }

    fn autostarts(&self) -> bool {
        self.service_fields("autostart").any(|value| *value == Value::Bool(true))
    }

    /// Returns the state to which an idle machine goes.
    fn idle_state(&self) -> Option<State> {
        self.service_fields("autostop").find_map(|value| match value {
            Value::Bool(true) => Some(State::Stopped),
            Value::String(mode) if mode == "stop" => Some(State::Stopped),
            Value::String(mode) if mode == "suspend" => Some(State::Suspended),
            _ => None,
        })
    }

    /// Returns the number of machines that keep running, idle or not.
    fn min_running(&self) -> u64 {
        self.service_fields("min_machines_running").filter_map(Value::as_u64).max().unwrap_or(0)
    }
}

impl World {
    /// Starts a machine for a request if a service wants that. Returns true if it is starting.
    pub(crate) fn autostart(&mut self, app: &str, id: &str) -> bool {
        let machine = self.machines.get(id).filter(|machine| machine.app == app && !machine.host_down);
        match machine.filter(|machine| machine.autostarts()).map(|machine| machine.state) {
            Some(State::Stopped | State::Suspended) => {
                self.begin_start(id);
                true
            }
            Some(State::Starting) => true,
            _ => false,
        }
    }

    /// Stops or suspends an idle machine if a service wants that.
    pub(crate) fn autostop(&mut self, id: &str) {
        let Some(machine) = self.machines.get(id).filter(|machine| machine.state == State::Started) else { return };
        let Some(idle) = machine.idle_state() else { return };
        let (app, min) = (machine.app.clone(), machine.min_running());
        let running = self.machines.values().filter(|other| other.app == app && other.state == State::Started);
        if running.count() as u64 <= min {
            return;
        }
        let timing = &self.settings.timing;
        let (via, kind, following) = if idle == State::Suspended {
            (State::Suspending, "suspend", (timing.suspend, Transition::Suspended))
        } else {
            (State::Stopping, "stop", (timing.stop, Transition::Stopped))
        };
        if let Some(machine) = self.machines.get_mut(id) {
            machine.program = None;
        }
        self.transition_to(id, via, Some(following));
        self.record_event(id, kind, "proxy", None);
    }
}
