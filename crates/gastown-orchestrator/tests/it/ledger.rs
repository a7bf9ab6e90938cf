//! Accepted requests and their results. No process reads this ledger, so it can prove that none was lost.

use std::collections::BTreeMap;

use gastown_domain::ports::OperationResult;
use gastown_domain::{OperationKind, Rejection, Rig, RigId, RigStatus, TownId, TownStatus};

use crate::store::Rows;
use crate::world::World;

/// Everything that was accepted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The history of each town, in order.
    towns: BTreeMap<TownId, Vec<Entry>>,
    /// Every rig that was ever accepted.
    rigs: BTreeMap<RigId, RigEntry>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// An operation that was accepted as this kind has ended.
    Ended(OperationKind, OperationResult),
    /// The drift detector changed the town's status to this one.
    DriftRecorded(TownStatus),
}

#[derive(Debug)]
struct RigEntry {
    rig: Rig,
    /// True once it has been in its sandbox.
    was_active: bool,
    /// True once its removal was requested.
    removal_requested: bool,
}

impl Ledger {
    pub(crate) fn operation_ended(&mut self, town: TownId, kind: OperationKind, outcome: OperationResult) {
        self.towns.entry(town).or_default().push(Entry::Ended(kind, outcome));
    }

    pub(crate) fn drift_recorded(&mut self, town: TownId, status: TownStatus) {
        self.towns.entry(town).or_default().push(Entry::DriftRecorded(status));
    }

    pub(crate) fn rig_accepted(&mut self, rig: &Rig) {
        let entry = RigEntry { rig: rig.clone(), was_active: false, removal_requested: false };
        self.rigs.insert(rig.id, entry);
    }

    pub(crate) fn has_rig(&self, rig: RigId) -> bool {
        self.rigs.contains_key(&rig)
    }

    pub(crate) fn rig_status_changed(&mut self, rig: RigId, status: RigStatus) {
        if let Some(entry) = self.rigs.get_mut(&rig) {
            entry.was_active |= status == RigStatus::Active;
            entry.removal_requested |= status == RigStatus::Removing;
        }
    }

    /// Returns the accepted requests that were not fulfilled.
    pub(crate) fn violations(&self, rows: &Rows, world: &World) -> Vec<String> {
        let towns = self.towns.iter().flat_map(|(town, entries)| town_violations(rows, *town, entries));
        towns.chain(self.rigs.values().filter_map(|entry| entry.violation(rows, world))).collect()
    }
}

fn town_violations(rows: &Rows, town: TownId, entries: &[Entry]) -> Vec<String> {
    let mut violations = Vec::new();
    for entry in entries {
        if let Entry::Ended(kind, outcome) = entry
            && !may_end(*kind, outcome)
        {
            violations.push(format!("a {kind} of {town} ended with {outcome:?}"));
        }
    }
    // A restart or restore that fails leaves the town running or stopped. The invariants compare both with its machine.
    let required = entries.iter().fold(None, |before, entry| match entry {
        Entry::Ended(OperationKind::Restart | OperationKind::Restore, Err(Rejection::Failed(_))) => None,
        Entry::Ended(..) | Entry::DriftRecorded(_) => entry.status().or(before),
    });
    let status = rows.towns.get(&town).map(|row| row.status);
    if required.is_some() && status != required {
        violations.push(format!("{town} is {status:?}, but {entries:?} require {required:?}"));
    }
    violations
}

impl Entry {
    /// Returns the town's status after this entry. `None` means that it is unchanged: a failed operation was undone or
    /// never begun.
    const fn status(&self) -> Option<TownStatus> {
        match self {
            Self::Ended(
                OperationKind::Create | OperationKind::Start | OperationKind::Restart | OperationKind::Restore,
                Ok(()),
            ) => Some(TownStatus::Running),
            Self::Ended(OperationKind::Stop, Ok(())) => Some(TownStatus::Stopped),
            // An undo is no kind that is accepted.
            Self::Ended(OperationKind::UndoRestore, Ok(())) => None,
            Self::Ended(OperationKind::Destroy | OperationKind::RollBack, Ok(())) => Some(TownStatus::Destroyed),
            Self::Ended(_, Err(Rejection::RolledBack(_))) => Some(TownStatus::Destroyed),
            Self::Ended(_, Err(Rejection::Failed(_) | Rejection::Preempted)) => None,
            Self::DriftRecorded(status) => Some(*status),
        }
    }
}

/// Returns true if an operation of this kind may end with this result. A create succeeds or is rolled back, and a
/// removal always succeeds. Only a start, a stop, a restart and a restore may fail.
const fn may_end(kind: OperationKind, outcome: &OperationResult) -> bool {
    match (kind, outcome) {
        (_, Ok(()) | Err(Rejection::Preempted)) => true,
        (OperationKind::Create, Err(Rejection::RolledBack(_))) => true,
        (
            OperationKind::Start | OperationKind::Stop | OperationKind::Restart | OperationKind::Restore,
            Err(Rejection::Failed(_)),
        ) => true,
        (_, Err(Rejection::RolledBack(_) | Rejection::Failed(_))) => false,
    }
}

impl RigEntry {
    /// Returns a violation unless the rig exists, was refused by its sandbox before it was active, or was removed by
    /// request.
    fn violation(&self, rows: &Rows, world: &World) -> Option<String> {
        let Rig { id, town, name, .. } = &self.rig;
        let is_recorded_in =
            |calls: &[(TownId, String)]| calls.iter().any(|(of, it)| of == town && it == name.as_str());
        let is_running = rows.towns.get(town).is_some_and(|row| row.status == TownStatus::Running);
        let status = rows.rigs.iter().find(|row| row.id == *id).map(|row| row.status);
        let what = match status {
            None if self.removal_requested => return None,
            None if self.was_active => "was active and is gone without a removal request",
            None if !is_recorded_in(&world.refused_rig_calls) => "is gone without having been active or refused",
            Some(RigStatus::Active) if self.removal_requested && !is_recorded_in(&world.busy_rig_calls) => {
                "stays after a removal request, though it was not in use"
            }
            Some(RigStatus::Pending | RigStatus::Removing) if is_running => "is still pending, but its town runs",
            None | Some(_) => return None,
        };
        Some(format!("rig {name} {id} of {town} {what}"))
    }
}
