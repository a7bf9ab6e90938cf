//! What must hold whenever all is quiet.

use std::collections::BTreeSet;

use gastown_domain::{Drift, OperationKind, Power, Rejection, Town, TownId, TownStatus};

use crate::bench::Bench;
use crate::deletions::{DeletedResource, Deletion};
use crate::store::Rows;
use crate::world::{Machine, Volume, World};

/// An operator, who may delete a second machine.
pub(crate) const OPERATOR: &str = "an operator";

impl Bench {
    /// Checks the towns against Fly, and Fly against the towns.
    pub(crate) fn assert_invariants(&self, case: &str) {
        let violations = self.invariant_violations();
        assert!(violations.is_empty(), "{case}:\n{}", violations.join("\n"));
    }

    /// The same, and that every operation that was accepted has ended, and that nothing went that nobody gave up.
    pub(crate) fn assert_invariants_and_history(&self, case: &str) {
        let violations: Vec<_> = self.invariant_violations().into_iter().chain(self.history_violations()).collect();
        assert!(violations.is_empty(), "{case}:\n{}", violations.join("\n"));
    }

    pub(crate) fn invariant_violations(&self) -> Vec<String> {
        let (rows, world) = (self.store.rows(), self.fly.world());
        let mut violations: Vec<_> =
            rows.operations.values().map(|row| format!("an operation is left: {row:?}")).collect();
        for town in rows.towns.values() {
            let row = Row { town, machines: world.machines_of(town.id), volumes: world.volumes_of(town.id) };
            let violation = if world.lost_volumes.contains(&town.id.volume_name()) && !town.is_tombstone() {
                row.violations_without_volume(&rows, &world)
            } else {
                row.violations(&rows)
            };
            violations.extend(violation.into_iter().map(|violation| format!("{violation}: {row:?}")));
        }
        violations.extend(unowned_resources(&rows, &world));
        violations
    }

    /// What holds of every history that no test has written by hand.
    pub(crate) fn history_violations(&self) -> Vec<String> {
        let (rows, world) = (self.store.rows(), self.fly.world());
        let mut violations = Vec::new();
        for (id, (town, kind, by)) in &rows.accepted {
            if !rows.outcomes.contains_key(id) {
                violations.push(format!("the {kind} {id} of {town} was accepted and never ended"));
            }
            if rows.towns.get(town).is_none_or(|row| row.owner != *by) {
                violations.push(format!("{by} had a {kind} of {town}, whose owner is another"));
            }
        }
        let was_accepted_here = |town: TownId| rows.accepted.values().any(|(of, ..)| *of == town);
        for town in rows.towns.values().filter(|town| town.is_tombstone() && was_accepted_here(town.id)) {
            if was_destroyed_or_rolled_back(&rows, town.id) {
                continue;
            }
            violations.push(format!("nobody destroyed this town, and its create was not undone: {town:?}"));
        }
        let deleted_by_operator = |deletion: &&Deletion| {
            let mut deletions = rows.records.deletions.iter();
            deletions.any(|(thing, actor)| thing.id() == deletion.id && actor == OPERATOR)
        };
        let data_deletions =
            world.deletions.iter().filter(|deletion| deletion.resource != DeletedResource::UnusedVolume);
        for deletion in data_deletions.filter(|deletion| !deleted_by_operator(deletion)) {
            if let Some(town) = owner_of(&rows, deletion).filter(|town| was_accepted_here(*town))
                && rows.soft_deleted.get(&town).is_none_or(|hidden| *hidden > deletion.at)
            {
                violations.push(format!("{:?} of the living town {town} was deleted", deletion.resource));
            }
        }
        let deleted_by_sweeper = |deletion: &&Deletion| {
            let mut deletions = rows.records.deletions.iter();
            deletions.any(|(thing, actor)| thing.id() == deletion.id && actor != OPERATOR)
        };
        let from_incomplete_lists =
            world.deletions.iter().filter(|deletion| deletion.lists_were_incomplete).filter(deleted_by_sweeper);
        violations.extend(
            from_incomplete_lists.map(|deletion| format!("deleted while lists could not be read whole: {deletion:?}")),
        );
        violations.extend(rows.ledger.violations(&rows, &world));
        violations
    }
}

/// A town and what Fly has of it.
#[derive(Debug)]
struct Row<'a> {
    town: &'a Town,
    machines: Vec<&'a Machine>,
    volumes: Vec<&'a Volume>,
}

impl Row<'_> {
    fn violations(&self, rows: &Rows) -> Vec<&'static str> {
        let (town, machine, volume) = (self.town, self.machines.first(), self.volumes.first());
        let settled =
            town.status != TownStatus::Running || volume.is_none_or(|volume| has_its_rigs(rows, town, volume));
        [
            (self.machines.len() <= 1, "two machines of one town"),
            (self.volumes.len() <= 1, "two volumes of one town"),
            (town.machine_id.as_ref() == machine.map(|it| &it.id), "the row names another machine"),
            (town.volume_id.as_ref() == volume.map(|it| &it.id), "the row names another volume"),
            (self.status_matches_machine(), "the status is not so"),
            (town.is_tombstone() == (town.status == TownStatus::Destroyed), "half a tombstone"),
            (town.is_tombstone() || volume.is_some(), "a living town without its volume"),
            (volume.is_none_or(|it| town.region.as_ref() == Some(&it.region)), "the row names another region"),
            (machine.is_none_or(|it| volume.is_some_and(|volume| volume.id == it.volume)), "the machine has no volume"),
            (machine.is_none_or(|it| volume.is_some_and(|volume| volume.region == it.region)), "apart from its volume"),
            (settled, "the rigs of the table are not those of the sandbox"),
        ]
        .into_iter()
        .filter_map(|(holds, violation)| (!holds).then_some(violation))
        .collect()
    }

    /// Whether the status is what there is.
    fn status_matches_machine(&self) -> bool {
        let power = self.machines.first().map(|machine| machine.power());
        match self.town.status {
            TownStatus::Provisioning => false,
            TownStatus::Running => power == Some(Power::On),
            TownStatus::Stopped => matches!(power, None | Some(Power::Off | Power::Failed)),
            TownStatus::Destroyed => (power, self.volumes.is_empty()) == (None, true),
        }
    }

    /// Of a town whose volume Fly lost: it is never replaced by an empty one, its id is not forgotten, and its owner and an
    /// operator read that it is lost (FM-22).
    fn violations_without_volume(&self, rows: &Rows, world: &World) -> Vec<&'static str> {
        let (town, machine) = (self.town, self.machines.first());
        // One that was moved before it was lost has had two ids.
        let was_the_towns = |volume: &Volume| volume.gone && volume.name == town.id.volume_name();
        let named = world.volumes.iter().find(|volume| town.volume_id.as_ref() == Some(&volume.id));
        let known = rows.records.health_of(town.id).drift.map(|(drift, _)| drift);
        [
            (self.machines.len() <= 1, "two machines of one town"),
            (town.machine_id.as_ref() == machine.map(|it| &it.id), "the row names another machine"),
            (self.status_matches_machine(), "the status is not so"),
            (self.volumes.is_empty(), "a lost volume was replaced"),
            (named.is_some_and(was_the_towns), "a lost volume was forgotten"),
            (named.is_none_or(|it| town.region.as_ref() == Some(&it.region)), "the row names another region"),
            (known == Some(Drift::VolumeLost), "nobody is told that the volume is lost"),
        ]
        .into_iter()
        .filter_map(|(holds, violation)| (!holds).then_some(violation))
        .collect()
    }
}

fn has_its_rigs(rows: &Rows, town: &Town, volume: &Volume) -> bool {
    let expected: BTreeSet<_> = rows.rigs.iter().filter(|rig| rig.town == town.id).map(|rig| &rig.name).collect();
    expected == volume.rigs.iter().map(|rig| &rig.name).collect()
}

/// Machines and volumes of no town.
fn unowned_resources(rows: &Rows, world: &World) -> Vec<String> {
    let is_owned = |name: &str| rows.towns.keys().any(|id| name == id.machine_name() || name == id.volume_name());
    let machines = world.machines.iter().filter(|machine| !machine.is_gone() && !is_owned(&machine.name));
    let volumes = world.volumes.iter().filter(|volume| !volume.gone && !is_owned(&volume.name));
    let machines = machines.map(|machine| format!("nobody's machine: {machine:?}"));
    machines.chain(volumes.map(|volume| format!("nobody's volume: {volume:?}"))).collect()
}

/// Whether its owner had it destroyed, or its create was undone.
fn was_destroyed_or_rolled_back(rows: &Rows, town: TownId) -> bool {
    rows.accepted.iter().filter(|(_, (of, ..))| *of == town).any(|(id, (_, kind, _))| match kind {
        OperationKind::Destroy => true,
        _ => matches!(rows.outcomes.get(id), Some(Err(Rejection::RolledBack(_)))),
    })
}

fn owner_of(rows: &Rows, deletion: &Deletion) -> Option<TownId> {
    rows.towns.keys().copied().find(|id| deletion.name == id.machine_name() || deletion.name == id.volume_name())
}
