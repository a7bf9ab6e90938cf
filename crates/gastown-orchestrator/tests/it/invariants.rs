//! The invariants that hold whenever no operation is in flight.

use std::collections::BTreeSet;

use gastown_domain::{Drift, OperationKind, Power, Rejection, Town, TownId, TownStatus, VolumeId};

use crate::bench::Bench;
use crate::deletions::{DeletedResource, Deletion};
use crate::names::{machine_name, volume_name};
use crate::store::Rows;
use crate::world::{Machine, Volume, World};

/// The name of the operator, who may delete a second machine.
pub(crate) const OPERATOR: &str = "an operator";

impl Bench {
    /// Asserts that rows and resources at Fly match.
    pub(crate) fn assert_invariants(&self, case: &str) {
        let violations = self.invariant_violations();
        assert!(violations.is_empty(), "{case}:\n{}", violations.join("\n"));
    }

    /// Asserts the same as `assert_invariants`. Also asserts that every accepted operation has ended and that no
    /// resource in use was deleted.
    pub(crate) fn assert_invariants_and_history(&self, case: &str) {
        let violations: Vec<_> = self.invariant_violations().into_iter().chain(self.history_violations()).collect();
        assert!(violations.is_empty(), "{case}:\n{}", violations.join("\n"));
    }

    pub(crate) fn invariant_violations(&self) -> Vec<String> {
        let (rows, world) = (self.store.rows(), self.fly.world());
        let mut violations: Vec<_> =
            rows.operations.values().map(|row| format!("operation still in flight: {row:?}")).collect();
        for town in rows.towns.values() {
            let row = Row { town, machines: world.machines_of(town.id), volumes: world.volumes_of(town.id) };
            let is_restored = rows.was_restored(town.id) && !row.volumes.is_empty();
            let has_lost_volume = world.lost_volumes.contains(&volume_name(town.id)) && !is_restored;
            let found = if has_lost_volume && !town.is_tombstone() {
                row.violations_without_volume(&rows, &world)
            } else {
                row.violations(&rows)
            };
            violations.extend(found.into_iter().map(|violation| format!("{violation}: {row:?}")));
            violations.extend(row.image_violation(&rows));
        }
        violations.extend(unowned_resources(&rows, &world));
        violations
    }

    /// Returns the violations in the history of operations. Tests that change rows by hand cannot use it.
    pub(crate) fn history_violations(&self) -> Vec<String> {
        let (rows, world) = (self.store.rows(), self.fly.world());
        let mut violations = Vec::new();
        for (id, (town, kind, by)) in &rows.accepted {
            if !rows.outcomes.contains_key(id) {
                violations.push(format!("{kind} {id} of {town} was accepted and never ended"));
            }
            if rows.towns.get(town).is_none_or(|row| row.owner != *by) {
                violations.push(format!("{by} requested a {kind} of {town}, which has another owner"));
            }
        }
        let was_accepted_here = |town: TownId| rows.accepted.values().any(|(of, ..)| *of == town);
        for town in rows.towns.values().filter(|town| town.is_tombstone() && was_accepted_here(town.id)) {
            if was_destroyed_or_rolled_back(&rows, town.id) {
                continue;
            }
            violations.push(format!("tombstone without a destroy or a rollback: {town:?}"));
        }
        let deleted_by_operator = |deletion: &&Deletion| {
            let mut deletions = rows.records.deletions.iter();
            deletions.any(|(thing, actor)| thing.id() == deletion.id && actor == OPERATOR)
        };
        let data_deletions =
            world.deletions.iter().filter(|deletion| deletion.resource != DeletedResource::UnusedVolume);
        for deletion in data_deletions.filter(|deletion| !deleted_by_operator(deletion)) {
            if let Some(town) = owner_of(&rows, deletion).filter(|town| was_accepted_here(*town))
                && rows.soft_deleted.get(&town).is_none_or(|at| *at > deletion.at)
                && !is_of_a_restore(&rows, &world, town, deletion)
            {
                violations.push(format!("{:?} of living town {town} was deleted", deletion.resource));
            }
        }
        let deleted_by_sweeper = |deletion: &&Deletion| {
            let mut deletions = rows.records.deletions.iter();
            deletions.any(|(thing, actor)| thing.id() == deletion.id && actor != OPERATOR)
        };
        let from_incomplete_lists =
            world.deletions.iter().filter(|deletion| deletion.lists_were_incomplete).filter(deleted_by_sweeper);
        violations
            .extend(from_incomplete_lists.map(|deletion| format!("deleted while lists were incomplete: {deletion:?}")));
        violations.extend(rows.ledger.violations(&rows, &world));
        violations.extend(rows.rollouts.violations());
        violations
    }
}

impl Rows {
    /// Returns true if a restore of the town has succeeded.
    fn was_restored(&self, town: TownId) -> bool {
        let restores = self.accepted.iter().filter(|(_, (of, kind, _))| *of == town && *kind == OperationKind::Restore);
        restores.into_iter().any(|(id, _)| self.outcomes.get(id) == Some(&Ok(())))
    }
}

/// A town and its resources at Fly.
#[derive(Debug)]
struct Row<'a> {
    town: &'a Town,
    machines: Vec<&'a Machine>,
    volumes: Vec<&'a Volume>,
}

impl Row<'_> {
    fn violations(&self, rows: &Rows) -> Vec<&'static str> {
        let (town, machine, volume) = (self.town, self.machines.first(), self.volumes.first());
        let rigs_match =
            town.status != TownStatus::Running || volume.is_none_or(|volume| has_its_rigs(rows, town, volume));
        [
            (self.machines.len() <= 1, "two machines of one town"),
            (self.volumes.len() <= 1, "two volumes of one town"),
            (town.machine_id.as_ref() == machine.map(|it| &it.id), "the row names another machine"),
            (town.volume_id.as_ref() == volume.map(|it| &it.id), "the row names another volume"),
            (self.status_matches_machine(), "the status does not match the resources"),
            (town.is_tombstone() == (town.status == TownStatus::Destroyed), "tombstone and status do not match"),
            (town.is_tombstone() || volume.is_some(), "living town without a volume"),
            (volume.is_none_or(|it| town.region.as_ref() == Some(&it.region)), "the row names another region"),
            (machine.is_none_or(|it| volume.is_some_and(|volume| volume.id == it.volume)), "the machine has no volume"),
            (
                machine.is_none_or(|it| volume.is_some_and(|volume| volume.region == it.region)),
                "machine and volume are in different regions",
            ),
            (rigs_match, "the rigs of table and sandbox differ"),
        ]
        .into_iter()
        .filter_map(|(holds, violation)| (!holds).then_some(violation))
        .collect()
    }

    /// Returns the violation of a town whose machine has another image than is recorded.
    fn image_violation(&self, rows: &Rows) -> Option<String> {
        let (recorded, machine) = (rows.records.health_of(self.town.id).image?, self.machines.first()?);
        (machine.image != recorded).then(|| format!("{recorded} is recorded as the image of {machine:?}"))
    }

    /// Returns true if the status matches the resources.
    fn status_matches_machine(&self) -> bool {
        let power = self.machines.first().map(|machine| machine.power());
        match self.town.status {
            TownStatus::Provisioning => false,
            TownStatus::Running => power == Some(Power::On),
            TownStatus::Stopped => matches!(power, None | Some(Power::Off | Power::Failed)),
            TownStatus::Destroyed => (power, self.volumes.is_empty()) == (None, true),
        }
    }

    /// Returns the violations for a town whose volume Fly lost. The volume is never replaced by an empty one and its id
    /// is kept. The owner and an operator see that it is lost (FM-22).
    fn violations_without_volume(&self, rows: &Rows, world: &World) -> Vec<&'static str> {
        let (town, machine) = (self.town, self.machines.first());
        // A volume that was moved before it was lost has had two ids.
        let was_the_towns = |volume: &Volume| volume.gone && volume.name == volume_name(town.id);
        let named = world.volumes.iter().find(|volume| town.volume_id.as_ref() == Some(&volume.id));
        let known = rows.records.health_of(town.id).drift.and_then(|(drift, _)| drift.known());
        [
            (self.machines.len() <= 1, "two machines of one town"),
            (town.machine_id.as_ref() == machine.map(|it| &it.id), "the row names another machine"),
            (self.status_matches_machine(), "the status does not match the resources"),
            (self.volumes.is_empty(), "a lost volume was replaced"),
            (named.is_some_and(was_the_towns), "the id of a lost volume was removed"),
            (named.is_none_or(|it| town.region.as_ref() == Some(&it.region)), "the row names another region"),
            (known == Some(Drift::VolumeLost), "the lost volume is not recorded"),
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

/// Returns the machines and volumes that belong to no town.
fn unowned_resources(rows: &Rows, world: &World) -> Vec<String> {
    let is_owned = |name: &str| rows.towns.keys().any(|id| name == machine_name(*id) || name == volume_name(*id));
    let machines = world.machines.iter().filter(|machine| !machine.is_gone() && !is_owned(&machine.name));
    let volumes = world.volumes.iter().filter(|volume| !volume.gone && !is_owned(&volume.name));
    let machines = machines.map(|machine| format!("machine without a town: {machine:?}"));
    machines.chain(volumes.map(|volume| format!("volume without a town: {volume:?}"))).collect()
}

/// Returns true if the owner destroyed the town or its create was rolled back.
fn was_destroyed_or_rolled_back(rows: &Rows, town: TownId) -> bool {
    rows.accepted.iter().filter(|(_, (of, ..))| *of == town).any(|(id, (_, kind, _))| match kind {
        OperationKind::Destroy => true,
        _ => matches!(rows.outcomes.get(id), Some(Err(Rejection::RolledBack(_)))),
    })
}

/// Returns true for the machine of a lost volume that is restored, and for what a restore made.
fn is_of_a_restore(rows: &Rows, world: &World, town: TownId, deletion: &Deletion) -> bool {
    let Some(since) = rows.restores.get(&town) else { return false };
    let is_gone = |id: &VolumeId| world.volumes.iter().any(|volume| volume.id == *id && volume.gone);
    match deletion.resource {
        DeletedResource::UnusedVolume => true,
        DeletedResource::VolumeWithData => {
            world.volumes.iter().any(|volume| volume.id.as_str() == deletion.id && volume.made_at >= *since)
        }
        DeletedResource::Machine => world.machines.iter().any(|machine| {
            machine.id.as_str() == deletion.id && (machine.made_at >= *since || is_gone(&machine.volume))
        }),
    }
}

fn owner_of(rows: &Rows, deletion: &Deletion) -> Option<TownId> {
    rows.towns.keys().copied().find(|id| deletion.name == machine_name(*id) || deletion.name == volume_name(*id))
}
