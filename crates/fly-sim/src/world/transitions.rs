//! The transitions of machines and volumes over time.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    event_queue::{ScheduledEvent, Transition},
    model::{Machine, MachineEvent},
    state::World,
};
use crate::{clock::SimTime, machine_state::State, workload::Boot};

/// The number of events that a machine keeps. Fly shows at most 50.
const MAX_EVENTS: usize = 100;

/// Fly's default for `restart.max_retries`.
const DEFAULT_RETRIES: u64 = 10;

/// The minimum delay before a restart. Without one, a process that cannot boot under the policy `always` would be
/// restarted endlessly at the same instant.
const MIN_RESTART_BACKOFF: Duration = Duration::from_millis(1);

/// The value that Fly records where no signal ended a process.
const NO_SIGNAL: i64 = -1;

/// The reason for the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessExit {
    pub(crate) code: i64,
    /// The signal that ended the process.
    pub(crate) signal: Option<i64>,
    pub(crate) oom_killed: bool,
    pub(crate) requested: bool,
}

impl ProcessExit {
    /// A requested stop.
    pub(crate) const REQUESTED: Self = Self { code: 0, signal: None, oom_killed: false, requested: true };
    /// The end of the old version during an update. Fly records it as not requested.
    pub(crate) const REPLACED: Self = Self { requested: false, ..Self::REQUESTED };
    /// A process that failed on its own.
    pub(crate) const CRASH: Self = Self { code: 1, ..Self::REPLACED };
    /// A process that the kernel killed for lack of memory. Fly records the code and no signal.
    pub(crate) const OUT_OF_MEMORY: Self = Self { code: 137, signal: None, oom_killed: true, requested: false };

    /// Returns the end of a process by a signal. Its code is that of a shell: 128 and the signal.
    pub(crate) fn by_signal(signal: i64) -> Self {
        Self { code: 128 + signal, signal: Some(signal), ..Self::REPLACED }
    }

    /// Renders the reason as Fly does in the event `exit`.
    fn render(self, restarting: bool, exited_at: DateTime<Utc>) -> Value {
        let signal = self.signal.unwrap_or(NO_SIGNAL);
        json!({
            "exit_code": self.code, "guest_exit_code": self.code, "guest_signal": signal, "guest_error": "",
            "signal": signal, "error": "", "oom_killed": self.oom_killed, "requested_stop": self.requested,
            "restarting": restarting, "exited_at": exited_at.to_rfc3339_opts(SecondsFormat::Nanos, true),
        })
    }
}

impl World {
    /// Applies every event that is due at `now`, in order. Returns true if there was one.
    pub(crate) fn advance_to(&mut self, now: SimTime) -> bool {
        let mut has_changed = false;
        while let Some((at, event)) = self.events.pop_due(now) {
            self.now = self.now.max(at);
            self.apply_event(event);
            has_changed = true;
        }
        self.now = self.now.max(now);
        has_changed
    }

    /// Sets the state of a machine and schedules the next transition after its delay. Earlier schedules become void.
    pub(crate) fn transition_to(&mut self, id: &str, state: State, following: Option<(Duration, Transition)>) {
        let (now, wall) = (self.now(), self.wall());
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.schedule_version += 1;
        machine.deferred = None;
        if !state.is_destroyed_or_destroying() {
            machine.last_live_state = state;
        }
        machine.updated_at = wall;
        let schedule_version = machine.schedule_version;
        self.machines.set_state(id, state);
        if let Some((delay, next)) = following {
            let event = ScheduledEvent::Machine { id: id.to_owned(), schedule_version, next };
            self.events.schedule(now + delay, event);
        }
    }

    /// Adds an entry to the event log of a machine.
    pub(crate) fn record_event(&mut self, id: &str, kind: &'static str, source: &'static str, request: Option<Value>) {
        if let Some(status) = self.machines.get(id).map(|machine| machine.state) {
            self.record_event_as(id, kind, status, source, request);
        }
    }

    /// Adds an entry with another status than the state of the machine.
    fn record_event_as(
        &mut self,
        id: &str,
        kind: &'static str,
        status: State,
        source: &'static str,
        request: Option<Value>,
    ) {
        let at = self.wall();
        let event_id = self.ids.ulid(at);
        if let Some(machine) = self.machines.get_mut(id) {
            machine.events.push_front(MachineEvent {
                id: event_id,
                kind: kind.into(),
                status,
                source: source.into(),
                at,
                request,
            });
            machine.events.truncate(MAX_EVENTS);
        }
    }

    /// Begins the start of a machine.
    pub(crate) fn begin_start(&mut self, id: &str) {
        self.begin_boot(id, State::Starting);
        self.record_event(id, "start", "user", None);
    }

    /// Ends the process of a started machine and boots it again.
    pub(crate) fn begin_restart(&mut self, id: &str) {
        self.begin_boot(id, State::Restarting);
        self.record_event_as(id, "restart", State::Stopping, "user", None);
        self.end_process(id, ProcessExit::REQUESTED, true);
        self.record_event_as(id, "restart", State::Starting, "flyd", None);
    }

    fn begin_boot(&mut self, id: &str, via: State) {
        let boot = self.settings.timing.boot;
        if let Some(machine) = self.machines.get_mut(id) {
            machine.restarts = 0;
            self.transition_to(id, via, Some((boot, Transition::Booted)));
        }
    }

    /// Ends the process of a machine and records the reason.
    pub(crate) fn end_process(&mut self, id: &str, exit: ProcessExit, restarting: bool) {
        let exited_at = self.wall();
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.program = None;
        machine.rootfs.clear();
        let request = json!({ "exit_event": exit.render(restarting, exited_at), "restart_count": machine.restarts });
        self.record_event_as(id, "exit", State::Stopped, "flyd", Some(request));
    }

    /// Ends the process of the old version during an update.
    pub(crate) fn end_process_for_update(&mut self, id: &str) {
        self.end_process(id, ProcessExit::REPLACED, false);
    }

    /// Ends the process of a machine with a signal.
    pub(crate) fn kill_process(&mut self, id: &str, signal: i64) {
        self.handle_process_exit(id, ProcessExit::by_signal(signal));
    }

    /// Ends the process of a machine and applies `auto_destroy` or the restart policy.
    pub(crate) fn handle_process_exit(&mut self, id: &str, exit: ProcessExit) {
        let backoff = self.settings.timing.restart_backoff.max(MIN_RESTART_BACKOFF);
        let Some(machine) = self.machines.get_mut(id) else { return };
        if !machine.destroys_itself() && restarts_after(machine, exit) {
            machine.restarts += 1;
            self.end_process(id, exit, true);
            self.transition_to(id, State::Restarting, Some((backoff, Transition::Retry)));
            self.record_event_as(id, "restart", State::Starting, "flyd", None);
        } else {
            self.end_for_good(id, exit);
        }
    }

    /// Ends the process of a machine, which is stopped after that, or destroys itself if it has `auto_destroy`.
    pub(super) fn end_for_good(&mut self, id: &str, exit: ProcessExit) {
        self.transition_to(id, State::Stopped, None);
        self.end_process(id, exit, false);
        if self.machines.get(id).is_some_and(Machine::destroys_itself) {
            self.begin_destroy(id, "flyd");
        }
    }

    /// Begins the destruction of a machine in any state, by the user or by the host.
    pub(crate) fn begin_destroy(&mut self, id: &str, source: &'static str) {
        self.destroy_via(id, State::Destroying);
        self.record_event(id, "destroy", source, None);
    }

    /// Fails the launch of a machine, which is destroyed after that.
    pub(crate) fn fail_launch(&mut self, id: &str) {
        self.destroy_via(id, State::LaunchFailed);
        self.record_event(id, "launch", "flyd", None);
    }

    fn destroy_via(&mut self, id: &str, state: State) {
        let delay = self.settings.timing.destroy;
        if let Some(machine) = self.machines.get_mut(id) {
            machine.program = None;
        }
        self.transition_to(id, state, Some((delay, Transition::Destroyed)));
    }

    /// Schedules the removal of a deleted volume.
    pub(crate) fn schedule_volume_removal(&mut self, id: &str, delay: Duration) {
        self.events.schedule(self.now() + delay, ScheduledEvent::VolumeRemoved { id: id.to_owned() });
    }

    fn apply_event(&mut self, event: ScheduledEvent) {
        match event {
            ScheduledEvent::Machine { id, schedule_version, next } => {
                self.apply_or_defer_transition(&id, schedule_version, next);
            }
            ScheduledEvent::VolumeReleased { id, machine } => self.release_volume(&id, &machine),
            ScheduledEvent::VolumeRemoved { id } => {
                self.volumes.remove(&id);
            }
        }
    }

    fn apply_or_defer_transition(&mut self, id: &str, schedule_version: u64, next: Transition) {
        match self.machines.get_mut(id).filter(|machine| machine.schedule_version == schedule_version) {
            Some(machine) if machine.host_down => machine.deferred = Some(next),
            Some(_) => self.apply_transition(id, next),
            None => {}
        }
    }

    fn release_volume(&mut self, id: &str, machine: &str) {
        if let Some(volume) = self.volumes.get_mut(id)
            && volume.claimed_by.as_deref() == Some(machine)
        {
            volume.claimed_by = None;
        }
    }

    pub(super) fn apply_transition(&mut self, id: &str, next: Transition) {
        let boot = self.settings.timing.boot;
        match next {
            Transition::Launch => {
                self.transition_to(id, State::Starting, Some((boot, Transition::Booted)));
                self.record_event(id, "start", "flyd", None);
            }
            Transition::Prepared => self.transition_to(id, State::Stopped, None),
            Transition::Booted => self.finish_boot(id),
            Transition::ProgramUp => self.start_program(id),
            Transition::Retry => self.transition_to(id, State::Starting, Some((boot, Transition::Booted))),
            Transition::Stopped => self.finish_stop(id),
            Transition::Suspended => {
                self.transition_to(id, State::Suspended, None);
                self.record_event(id, "suspend", "flyd", None);
            }
            Transition::Replaced(State::Started) => self.finish_boot(id),
            Transition::Replaced(state) => self.transition_to(id, state, None),
            Transition::Destroyed => self.finish_destroy(id),
        }
    }

    fn finish_boot(&mut self, id: &str) {
        let program_boot = self.settings.timing.program_boot;
        self.transition_to(id, State::Started, Some((program_boot, Transition::ProgramUp)));
        self.record_event(id, "start", "flyd", Some(json!({})));
    }

    fn start_program(&mut self, id: &str) {
        let workload = self.settings.workload.clone();
        let Some(machine) = self.machines.get_mut(id) else { return };
        let secrets = machine.secrets.iter().map(|(name, secret)| (name.clone(), secret.value.expose_secret().into()));
        let env = secrets.chain(machine.string_map("env")).collect();
        let volume = machine.mount().map(|(volume, _)| volume);
        let boot = Boot { app: &machine.app, machine: id, image: machine.image(), volume, env };
        match workload.map_or(Ok(None), |workload| workload.boot(boot)) {
            Ok(program) => {
                machine.restarts = 0;
                machine.program = program;
            }
            Err(error) => {
                tracing::info!(machine.id = %id, %error, "simulated program failed to boot");
                self.handle_process_exit(id, ProcessExit::CRASH);
            }
        }
    }

    fn finish_stop(&mut self, id: &str) {
        self.end_for_good(id, ProcessExit::REQUESTED);
        let until = self.now() + self.settings.timing.quiesce;
        if let Some(machine) = self.machines.get_mut(id) {
            machine.active_until = Some(until);
        }
    }

    fn finish_destroy(&mut self, id: &str) {
        self.transition_to(id, State::Destroyed, None);
        self.record_event(id, "destroy", "flyd", None);
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.lease = None;
        if let Some((volume, _)) = machine.mount() {
            let event = ScheduledEvent::VolumeReleased { id: volume.to_owned(), machine: id.to_owned() };
            self.events.schedule(self.now + self.settings.timing.volume_release, event);
        }
    }
}

/// Returns true if the restart policy starts another attempt.
fn restarts_after(machine: &Machine, exit: ProcessExit) -> bool {
    let restart = machine.config.get("restart");
    let field = |key: &str| restart.and_then(|restart| restart.get(key));
    let retries = field("max_retries").and_then(Value::as_u64).filter(|retries| *retries > 0);
    match field("policy").and_then(Value::as_str).unwrap_or("on-failure") {
        "always" => true,
        "no" => false,
        _ => exit.code != 0 && machine.restarts < retries.unwrap_or(DEFAULT_RETRIES),
    }
}
