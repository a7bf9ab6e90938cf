//! What time does: the states a machine passes through, and how volumes come free.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    agenda::{Due, Next},
    model::{Machine, MachineEvent},
    state::World,
};
use crate::{machine_state::State, sandbox_process};

/// Fly's default for `restart.max_retries`.
const DEFAULT_RETRIES: u64 = 10;

const LEAST_BACKOFF: Duration = Duration::from_millis(1);

/// Why a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: i64,
    /// The signal that ended it; 0 for none.
    pub(crate) signal: i64,
    pub(crate) oom_killed: bool,
    pub(crate) requested: bool,
}

impl Exit {
    /// A stop somebody asked for.
    pub(crate) const REQUESTED: Self = Self { code: 0, signal: 0, oom_killed: false, requested: true };
    /// The process gave up by itself.
    pub(crate) const CRASH: Self = Self { code: 1, signal: 0, oom_killed: false, requested: false };
}

impl World {
    /// Lets everything happen that is due at `now`, in order; true when anything did.
    pub(crate) fn settle(&mut self, now: Instant) -> bool {
        let mut happened = false;
        while let Some((at, due)) = self.agenda.pop_due(now) {
            self.now = self.now.max(at);
            self.apply(due);
            happened = true;
        }
        self.now = self.now.max(now);
        happened
    }

    /// Starts the machine's next stretch of life: new state, and what follows after `delay`. Whatever was scheduled
    /// for the machine before is void.
    pub(crate) fn redirect(&mut self, id: &str, state: State, follow: Option<(Duration, Next)>) {
        let (now, wall) = (self.now(), self.wall());
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.plan += 1;
        machine.held = None;
        machine.state = state;
        if !state.is_leaving() {
            machine.last_alive = state;
        }
        machine.updated_at = wall;
        let plan = machine.plan;
        if let Some((delay, next)) = follow {
            self.agenda.schedule(now + delay, Due::Machine { id: id.to_owned(), plan, next });
        }
    }

    /// Writes a line into the machine's history.
    pub(crate) fn record(&mut self, id: &str, kind: &'static str, source: &'static str, request: Option<Value>) {
        let at = self.wall();
        let event_id = self.ids.ulid(at);
        if let Some(machine) = self.machines.get_mut(id) {
            let status = machine.state;
            machine.events.push_front(MachineEvent { id: event_id, kind, status, source, at, request });
        }
    }

    /// Begins to start the machine, as `start` and the end of a preparation do.
    pub(crate) fn begin_start(&mut self, id: &str, via: State) {
        let boot = self.settings.timing.boot;
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.restarts = 0;
        self.redirect(id, via, Some((boot, Next::Booted)));
        self.record(id, "start", "user", None);
    }

    /// Ends the process on the machine and records why.
    pub(crate) fn end_process(&mut self, id: &str, exit: Exit, restarting: bool) {
        let exited_at = self.wall().timestamp_millis();
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.sandbox = None;
        machine.rootfs.clear();
        let request = json!({
            "exit_event": {
                "exit_code": exit.code, "guest_exit_code": exit.code, "guest_signal": exit.signal,
                "signal": exit.signal, "oom_killed": exit.oom_killed, "requested_stop": exit.requested,
                "restarting": restarting, "exited_at": exited_at,
            },
            "restart_count": machine.restarts,
        });
        self.record(id, "exit", "flyd", Some(request));
    }

    /// The old version's process makes room for the new one. Fly records that as not requested.
    pub(crate) fn end_replaced_process(&mut self, id: &str) {
        self.end_process(id, Exit { code: 0, signal: 0, oom_killed: false, requested: false }, false);
    }

    /// Somebody asked for the end of the process, and another one follows.
    pub(crate) fn end_requested_process(&mut self, id: &str) {
        self.end_process(id, Exit::REQUESTED, true);
    }

    /// A signal ends the process.
    pub(crate) fn kill_process(&mut self, id: &str) {
        self.process_exits(id, Exit { code: 137, signal: 9, oom_killed: false, requested: false });
    }

    /// The process exits by itself: the restart policy decides what becomes of the machine.
    pub(crate) fn process_exits(&mut self, id: &str, exit: Exit) {
        // Never zero: a process that cannot boot under the policy `always` must not stop the world's clock.
        let backoff = self.settings.timing.restart_backoff.max(LEAST_BACKOFF);
        let Some(machine) = self.machines.get_mut(id) else { return };
        if machine.config.get("auto_destroy").and_then(Value::as_bool).unwrap_or(false) {
            self.end_process(id, exit, false);
            self.begin_destroy(id);
        } else if restarts_again(machine, exit) {
            machine.restarts += 1;
            self.end_process(id, exit, true);
            self.redirect(id, State::Restarting, Some((backoff, Next::Retry)));
            self.record(id, "restart", "flyd", None);
        } else {
            self.redirect(id, State::Stopped, None);
            self.end_process(id, exit, false);
        }
    }

    /// Begins to take the machine away, whatever it does.
    pub(crate) fn begin_destroy(&mut self, id: &str) {
        let delay = self.settings.timing.destroy;
        if let Some(machine) = self.machines.get_mut(id) {
            machine.sandbox = None;
        }
        self.redirect(id, State::Destroying, Some((delay, Next::Destroyed)));
        self.record(id, "destroy", "user", None);
    }

    /// The machine cannot be launched: it says so and goes away by itself.
    pub(crate) fn fail_launch(&mut self, id: &str) {
        let delay = self.settings.timing.destroy;
        if let Some(machine) = self.machines.get_mut(id) {
            machine.sandbox = None;
        }
        self.redirect(id, State::LaunchFailed, Some((delay, Next::Destroyed)));
        self.record(id, "launch", "flyd", None);
    }

    /// Forgets the deleted volume after `delay`.
    pub(crate) fn forget_volume_after(&mut self, id: &str, delay: Duration) {
        self.agenda.schedule(self.now() + delay, Due::VolumeForgotten { id: id.to_owned() });
    }

    fn apply(&mut self, due: Due) {
        match due {
            Due::Machine { id, plan, next } => {
                let machine = self.machines.get_mut(&id).filter(|machine| machine.plan == plan);
                match machine {
                    Some(machine) if machine.host_down => machine.held = Some(next),
                    Some(_) => self.advance(&id, next),
                    None => {}
                }
            }
            Due::VolumeReleased { id, machine } => {
                if let Some(volume) = self.volumes.get_mut(&id)
                    && volume.claimed_by.as_deref() == Some(machine.as_str())
                {
                    volume.claimed_by = None;
                }
            }
            Due::VolumeForgotten { id } => {
                self.volumes.remove(&id);
            }
        }
    }

    pub(super) fn advance(&mut self, id: &str, next: Next) {
        let (boot, quiet) = (self.settings.timing.boot, self.settings.timing.quiesce);
        match next {
            Next::Launch => {
                self.redirect(id, State::Starting, Some((boot, Next::Booted)));
                self.record(id, "start", "flyd", None);
            }
            Next::Prepared => self.redirect(id, State::Stopped, None),
            Next::Booted => self.booted(id),
            Next::SandboxUp => self.sandbox_up(id),
            Next::Retry => self.redirect(id, State::Starting, Some((boot, Next::Booted))),
            Next::Stopped => {
                self.redirect(id, State::Stopped, None);
                self.end_process(id, Exit::REQUESTED, false);
                let until = self.now() + quiet;
                if let Some(machine) = self.machines.get_mut(id) {
                    machine.active_until = Some(until);
                }
            }
            Next::Suspended => self.redirect(id, State::Suspended, None),
            Next::Replaced(State::Started) => self.booted(id),
            Next::Replaced(state) => self.redirect(id, state, None),
            Next::Destroyed => self.destroyed(id),
        }
    }

    fn booted(&mut self, id: &str) {
        let sandbox_boot = self.settings.timing.sandbox_boot;
        self.redirect(id, State::Started, Some((sandbox_boot, Next::SandboxUp)));
        self.record(id, "start", "flyd", None);
    }

    fn sandbox_up(&mut self, id: &str) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        let mounted = machine.mount().map(|(volume, _)| volume.to_owned());
        let secrets = machine.secrets.iter().map(|(name, secret)| (name.clone(), secret.value.expose_secret().into()));
        let environment = secrets.chain(machine.strings("env")).collect();
        match sandbox_process::boot(&environment, mounted) {
            Ok(process) => {
                machine.restarts = 0;
                machine.sandbox = process;
            }
            Err(reason) => {
                tracing::info!(machine.id = %id, %reason, "the simulated sandbox refuses to boot");
                self.process_exits(id, Exit::CRASH);
            }
        }
    }

    fn destroyed(&mut self, id: &str) {
        self.redirect(id, State::Destroyed, None);
        self.record(id, "destroy", "flyd", None);
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.lease = None;
        if let Some((volume, _)) = machine.mount() {
            let due = Due::VolumeReleased { id: volume.to_owned(), machine: id.to_owned() };
            let at: Instant = self.now() + self.settings.timing.volume_release;
            self.agenda.schedule(at, due);
        }
    }
}

/// Whether the restart policy gives the process another attempt.
fn restarts_again(machine: &Machine, exit: Exit) -> bool {
    let restart = machine.config.get("restart");
    let field = |key: &str| restart.and_then(|restart| restart.get(key));
    let retries = field("max_retries").and_then(Value::as_u64).filter(|retries| *retries > 0);
    match field("policy").and_then(Value::as_str).unwrap_or("on-failure") {
        "always" => true,
        "no" => false,
        _ => (exit.code != 0 || exit.signal != 0) && machine.restarts < retries.unwrap_or(DEFAULT_RETRIES),
    }
}
