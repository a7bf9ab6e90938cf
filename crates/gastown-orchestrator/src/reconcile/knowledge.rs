//! The knowledge of one unbroken claim about a town's machine and volume. Pure.
//!
//! The provider is looked at only in doubt: after a takeover, after a lost or contradictory answer, and after a wait. An
//! answer of the provider serves for the next decision.

use std::time::Duration;

use gastown_domain::ports::{Awaited, Deletion, ObservedMachine, ObservedVolume, ProviderError};
use gastown_domain::{LocatedVolume, OperationKind, Power, Progress, Seen, Town, TownStatus, VolumeState};
use tokio::time::Instant;

use super::outcome::Outcome;

/// The age at which a sighting is not trusted any more while the sandbox does not answer. Its machine may have crashed.
const SIGHTING_VALID: Duration = Duration::from_secs(10);

/// Knowledge of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known<T> {
    /// Nothing is known. Look by id, then by name.
    Stale,
    /// This claim had it deleted. Its id alone proves its absence.
    Deleted,
    /// The provider's last answer, or a fact of the row. Never `Unknown`.
    Answered(Seen<T>),
}

/// Knowledge of machine and volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Knowledge {
    pub(super) machine: Known<ObservedMachine>,
    pub(super) volume: Known<LocatedVolume>,
    /// The time of the last answer about the machine.
    pub(super) seen_at: Instant,
}

impl Knowledge {
    /// Returns the knowledge of a process that took an operation over.
    pub(super) const fn stale(at: Instant) -> Self {
        Self { machine: Known::Stale, volume: Known::Stale, seen_at: at }
    }

    /// Returns the knowledge of the process that has just accepted an operation on an idle town. The row tells the state of
    /// such a town. A wrong row is contradicted by the first call.
    ///
    /// A destroy looks at the machine, because only the volume that it mounts is the town's. The provider may have moved it.
    pub(super) fn of_idle_town(town: &Town, kind: OperationKind, at: Instant) -> Self {
        // A restore proves that the volume is lost.
        if kind.removes() || kind == OperationKind::Restore {
            return Self::stale(at);
        }
        let power = match town.status {
            TownStatus::Running => Power::On,
            TownStatus::Stopped => Power::Off,
            TownStatus::Provisioning | TownStatus::Destroyed => return Self::stale(at),
        };
        let (Some(machine), Some(volume), Some(region)) = (&town.machine_id, &town.volume_id, &town.region) else {
            return Self::stale(at);
        };
        let machine = ObservedMachine { id: machine.clone(), power, volume: Some(volume.clone()) };
        let volume = LocatedVolume { id: volume.clone(), region: Some(region.clone()), state: VolumeState::Ready };
        Self {
            machine: Known::Answered(Seen::Present(machine)),
            volume: Known::Answered(Seen::Present(volume)),
            seen_at: at,
        }
    }

    /// Returns the knowledge after a look that showed this, or the knowledge before it where there was none. An absence does
    /// not last while a create is unconfirmed. For a removal, a machine that mounts the recorded volume shows that volume too.
    pub(super) fn after_look(
        self,
        (town, kind): (&Town, OperationKind),
        machine: Option<&Seen<ObservedMachine>>,
        volume: Option<&Seen<LocatedVolume>>,
        progress: &Progress,
        at: Instant,
    ) -> Self {
        let mounted = machine.filter(|_| kind.removes()).and_then(|machine| mounted(town, machine));
        let volume = match (volume, mounted) {
            (Some(seen), _) => known(seen, progress.unconfirmed_volume.exists()),
            (None, Some(mounted)) if !progress.unconfirmed_volume.exists() => present(mounted),
            (None, _) => self.volume,
        };
        Self {
            seen_at: if machine.is_some() { at } else { self.seen_at },
            machine: machine.map_or(self.machine, |seen| known(seen, progress.unconfirmed_machine.exists())),
            volume,
        }
    }

    /// Returns the knowledge after an outcome. `progress` is the one from before it.
    pub(super) fn after(self, outcome: &Outcome, kind: OperationKind, progress: &Progress, at: Instant) -> Self {
        match outcome {
            Outcome::VolumeCreated { volume, .. } => {
                let is_only = progress.unconfirmed_volume.is_only_one() && !volume.destroying;
                Self { volume: if is_only { present(ready(volume)) } else { Known::Stale }, ..self }
            }
            Outcome::MachineCreated { machine, .. } => {
                let is_only = progress.unconfirmed_machine.is_only_one();
                Self { machine: if is_only { present(machine.clone()) } else { Known::Stale }, seen_at: at, ..self }
            }
            // The answer may show the update itself, which is over soon. A start that comes too early is refused and repeated.
            Outcome::MachineUpdated(machine) if machine.power == Power::Changing => {
                Self { machine: present(ObservedMachine { power: Power::Off, ..machine.clone() }), seen_at: at, ..self }
            }
            Outcome::MachineUpdated(machine) => Self { machine: present(machine.clone()), seen_at: at, ..self },
            Outcome::Starting => self.powered(Power::Starting, at),
            Outcome::Reached(Awaited::Started) => self.powered(Power::On, at),
            Outcome::Stopping => self.powered(Power::Stopping, at),
            Outcome::Reached(Awaited::Stopped) => self.powered(Power::Off, at),
            Outcome::MachineDeleted(Deletion::Accepted) => self.powered(Power::Destroying, at),
            Outcome::Reached(Awaited::Destroyed) if progress.unconfirmed_machine.exists() => Self::stale(at),
            Outcome::Reached(Awaited::Destroyed) => {
                Self { machine: Known::Answered(Seen::Absent), seen_at: at, ..self }
            }
            Outcome::VolumeDeleted(Deletion::Accepted) => self.without_volume(kind, progress),
            Outcome::Synced { at: Some(_) }
            | Outcome::SandboxReady
            | Outcome::Restored { .. }
            | Outcome::SoftDeleted { .. }
            | Outcome::Finished => self,
            Outcome::SandboxNotReady if at.duration_since(self.seen_at) < SIGHTING_VALID => self,
            // The provider releases a volume some time after its machine is gone.
            Outcome::Failed { error: ProviderError::VolumeBound { .. }, .. }
                if kind.removes() && self.machine == Known::Answered(Seen::Absent) =>
            {
                self
            }
            Outcome::MachineDeleted(Deletion::AlreadyAbsent)
            | Outcome::VolumeDeleted(Deletion::AlreadyAbsent)
            | Outcome::Synced { at: None }
            | Outcome::SandboxNotReady
            | Outcome::StateNotReached(_)
            | Outcome::Waiting(_)
            | Outcome::VolumeLost
            | Outcome::GaveUp(_)
            | Outcome::NotPrepared(_)
            | Outcome::Failed { .. } => Self::stale(at),
        }
    }

    fn without_volume(self, kind: OperationKind, progress: &Progress) -> Self {
        let is_last = kind.removes() && !progress.unconfirmed_volume.exists();
        Self { volume: if is_last { Known::Deleted } else { Known::Stale }, ..self }
    }

    fn powered(self, power: Power, at: Instant) -> Self {
        let machine = match self.machine {
            Known::Answered(Seen::Present(machine)) => present(ObservedMachine { power, ..machine }),
            Known::Answered(Seen::Absent | Seen::Unknown) | Known::Deleted | Known::Stale => Known::Stale,
        };
        Self { machine, seen_at: at, ..self }
    }
}

/// Returns the volume that the row records, if the machine mounts it.
fn mounted(town: &Town, machine: &Seen<ObservedMachine>) -> Option<LocatedVolume> {
    let Seen::Present(machine) = machine else { return None };
    let id = town.volume_id.clone().filter(|id| machine.volume.as_ref() == Some(id))?;
    Some(LocatedVolume { id, region: town.region.clone(), state: VolumeState::Ready })
}

fn ready(volume: &ObservedVolume) -> LocatedVolume {
    LocatedVolume { id: volume.id.clone(), region: volume.region.clone(), state: VolumeState::Ready }
}

fn present<T>(resource: T) -> Known<T> {
    Known::Answered(Seen::Present(resource))
}

fn known<T: Clone>(seen: &Seen<T>, is_unconfirmed: bool) -> Known<T> {
    match seen {
        Seen::Present(resource) => present(resource.clone()),
        Seen::Absent if !is_unconfirmed => Known::Answered(Seen::Absent),
        Seen::Absent | Seen::Unknown => Known::Stale,
    }
}

#[cfg(test)]
mod tests;
