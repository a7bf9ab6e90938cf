//! What was promised to whom, and what came of it: kept beside the rows, where no process reads it.

use std::collections::BTreeMap;

use gastown_domain::ports::OperationResult;
use gastown_domain::{OperationKind, Rejection, Rig, RigId, RigStatus, TownId, TownStatus};

use crate::store::Rows;
use crate::world::World;

/// Everything that was promised.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What has happened to each town, in order.
    towns: BTreeMap<TownId, Vec<Entry>>,
    /// Every rig that was ever accepted.
    rigs: BTreeMap<RigId, RigEntry>,
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    /// An operation that was accepted as one of this kind has ended.
    Ended(OperationKind, OperationResult),
    /// The inspector told the row that the town is so by now.
    Noticed(TownStatus),
}

#[derive(Debug)]
struct RigEntry {
    rig: Rig,
    /// It has been in its sandbox.
    was_active: bool,
    /// Somebody has asked for its removal.
    is_unwanted: bool,
}

impl Ledger {
    pub(crate) fn ended(&mut self, town: TownId, kind: OperationKind, outcome: OperationResult) {
        self.towns.entry(town).or_default().push(Entry::Ended(kind, outcome));
    }

    pub(crate) fn noticed(&mut self, town: TownId, status: TownStatus) {
        self.towns.entry(town).or_default().push(Entry::Noticed(status));
    }

    pub(crate) fn rig_accepted(&mut self, rig: &Rig) {
        let entry = RigEntry { rig: rig.clone(), was_active: false, is_unwanted: false };
        self.rigs.insert(rig.id, entry);
    }

    pub(crate) fn knows(&self, rig: RigId) -> bool {
        self.rigs.contains_key(&rig)
    }

    pub(crate) fn rig_became(&mut self, rig: RigId, status: RigStatus) {
        if let Some(entry) = self.rigs.get_mut(&rig) {
            entry.was_active |= status == RigStatus::Active;
            entry.is_unwanted |= status == RigStatus::Removing;
        }
    }

    /// Which promises were broken.
    pub(crate) fn violations(&self, rows: &Rows, world: &World) -> Vec<String> {
        let towns = self.towns.iter().flat_map(|(town, entries)| town_violations(rows, *town, entries));
        towns.chain(self.rigs.values().filter_map(|entry| entry.violations(rows, world))).collect()
    }
}

fn town_violations(rows: &Rows, town: TownId, entries: &[Entry]) -> Vec<String> {
    let mut violations = Vec::new();
    for entry in entries {
        if let Entry::Ended(kind, outcome) = entry
            && !may_end(*kind, *outcome)
        {
            violations.push(format!("a {kind} of {town} ended with {outcome:?}"));
        }
    }
    let promised = entries.iter().fold(None, |before, entry| entry.status().or(before));
    let status = rows.towns.get(&town).map(|row| row.status);
    if promised.is_some() && status != promised {
        violations.push(format!("{town} is {status:?}, and by {entries:?} it is to be {promised:?}"));
    }
    violations
}

impl Entry {
    /// What the town is from then on; `None` where it stays as it was: what failed was undone or never begun.
    const fn status(self) -> Option<TownStatus> {
        match self {
            Self::Ended(OperationKind::Create | OperationKind::Start, Ok(())) => Some(TownStatus::Running),
            Self::Ended(OperationKind::Stop, Ok(())) => Some(TownStatus::Stopped),
            Self::Ended(OperationKind::Destroy | OperationKind::RollBack, Ok(())) => Some(TownStatus::Destroyed),
            Self::Ended(_, Err(Rejection::RolledBack(_))) => Some(TownStatus::Destroyed),
            Self::Ended(_, Err(Rejection::Failed(_) | Rejection::Preempted)) => None,
            Self::Noticed(status) => Some(status),
        }
    }
}

/// A create comes up or is undone, a removal has no end but its goal; only a start and a stop may fail.
const fn may_end(kind: OperationKind, outcome: OperationResult) -> bool {
    match (kind, outcome) {
        (_, Ok(()) | Err(Rejection::Preempted)) => true,
        (OperationKind::Create, Err(Rejection::RolledBack(_))) => true,
        (OperationKind::Start | OperationKind::Stop, Err(Rejection::Failed(_))) => true,
        (_, Err(Rejection::RolledBack(_) | Rejection::Failed(_))) => false,
    }
}

impl RigEntry {
    /// A rig is there, or was refused by its sandbox before it ever was, or somebody asked for its removal.
    fn violations(&self, rows: &Rows, world: &World) -> Option<String> {
        let Rig { id, town, name, .. } = &self.rig;
        let is_recorded_in =
            |calls: &[(TownId, String)]| calls.iter().any(|(of, it)| of == town && it == name.as_str());
        let is_running = rows.towns.get(town).is_some_and(|row| row.status == TownStatus::Running);
        let status = rows.rigs.iter().find(|row| row.id == *id).map(|row| row.status);
        let what = match status {
            None if self.is_unwanted => return None,
            None if self.was_active => "is gone, and nobody asked for that",
            None if !is_recorded_in(&world.refused_rig_calls) => {
                "is gone before it ever was, and its sandbox never refused it"
            }
            Some(RigStatus::Active) if self.is_unwanted && !is_recorded_in(&world.busy_rig_calls) => {
                "was to be removed, and stays though nothing was in the way"
            }
            Some(RigStatus::Pending | RigStatus::Removing) if is_running => "is not settled, and its town runs",
            None | Some(_) => return None,
        };
        Some(format!("rig {name} {id} of {town} {what}"))
    }
}
