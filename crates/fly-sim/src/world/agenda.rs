//! What will happen, and when.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::machine_state::State;

/// The next step of a machine's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The launch begins: `created` → `starting`.
    Launch,
    /// Prepared without a launch: `created` → `stopped`.
    Prepared,
    /// The machine runs.
    Booted,
    /// The sandbox has read its environment: it serves, or exits.
    SandboxUp,
    /// The restart policy tries again.
    Retry,
    Stopped,
    Suspended,
    /// The new version is in place; the machine goes on to this state.
    Replaced(State),
    Destroyed,
}

/// A scheduled event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// A step of a machine, void when the machine's plan has changed since.
    Machine { id: String, plan: u64, next: Next },
    /// The volume is no longer bound to that machine.
    VolumeReleased { id: String, machine: String },
    /// The deleted volume is no longer readable.
    VolumeForgotten { id: String },
}

/// Scheduled events in the order in which they fall due.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(Instant, u64), Due>,
    order: u64,
}

impl Agenda {
    pub(crate) fn schedule(&mut self, at: Instant, due: Due) {
        self.order += 1;
        self.entries.insert((at, self.order), due);
    }

    /// When the next event falls due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.entries.keys().next().map(|(at, _)| *at)
    }

    /// Takes the earliest event that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Due)> {
        let entry = self.entries.first_entry()?;
        let at = entry.key().0;
        (at <= now).then(|| (at, entry.remove()))
    }
}
