//! The queue of scheduled events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{clock::SimTime, machine_state::State};

/// The next transition of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Transition {
    /// Begins the launch: `created` → `starting`.
    Launch,
    /// Completes the preparation of a machine that is not launched: `created` → `stopped`.
    Prepared,
    /// Completes the boot: `starting` → `started`.
    Booted,
    /// Starts the program, which serves, or exits if it cannot.
    ProgramUp,
    /// Restarts the process under the restart policy.
    Retry,
    /// Completes a stop: `stopping` → `stopped`.
    Stopped,
    /// Completes a suspend: `suspending` → `suspended`.
    Suspended,
    /// Completes an update: `replacing` → the given state.
    Replaced(State),
    /// Completes a destroy: `destroying` → `destroyed`.
    Destroyed,
}

/// An event that the world applies when its time comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ScheduledEvent {
    /// A transition of a machine. It is void if the machine's schedule has changed since.
    Machine { id: String, schedule_version: u64, next: Transition },
    /// The release of a volume from the given machine.
    VolumeReleased { id: String, machine: String },
    /// The removal of a deleted volume, which is unreadable from then on.
    VolumeRemoved { id: String },
}

/// Scheduled events, ordered by due time and then by the order in which they were scheduled.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct EventQueue {
    #[serde(with = "super::stored::pairs")]
    entries: BTreeMap<(SimTime, u64), ScheduledEvent>,
    sequence: u64,
}

impl EventQueue {
    pub(crate) fn schedule(&mut self, at: SimTime, event: ScheduledEvent) {
        self.sequence += 1;
        self.entries.insert((at, self.sequence), event);
    }

    /// Returns the due time of the earliest event.
    pub(crate) fn next_at(&self) -> Option<SimTime> {
        self.entries.keys().next().map(|(at, _)| *at)
    }

    /// Removes the earliest event that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: SimTime) -> Option<(SimTime, ScheduledEvent)> {
        let entry = self.entries.first_entry()?;
        let at = entry.key().0;
        (at <= now).then(|| (at, entry.remove()))
    }
}
