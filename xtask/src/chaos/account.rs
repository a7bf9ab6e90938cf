//! The checks at the end: the answers to clients, the rows, and the resources on Fly have to agree.
//!
//! The checks are pure and independent, so one fault may be found twice. A second machine of a town is a double and an
//! orphan.

mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::ledger::{Ledger, REFUSED_RIG};
use super::rows::{EventRow, Rows};
use super::world::World;

pub(super) use wrong::is_drifting;

#[cfg(test)]
mod tests;

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Kind {
    /// Accepted or answered, and its end is not recorded.
    Lost,
    /// On Fly, and not referenced by a row.
    Orphan,
    /// Present twice.
    Double,
    /// Unfinished, although nothing changes any more.
    Stuck,
    /// A row that differs from Fly or from an answer.
    Wrong,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Lost, Self::Orphan, Self::Double, Self::Stuck, Self::Wrong];
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Lost => "lost",
            Self::Orphan => "orphans",
            Self::Double => "double",
            Self::Stuck => "stuck",
            Self::Wrong => "wrong",
        })
    }
}

/// One violation of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) what: String,
}

/// Runs all checks, once nothing changes any more.
pub(super) fn account(rows: &Rows, world: &World, ledger: &Ledger) -> Vec<Finding> {
    let checks = [
        (Kind::Lost, lost(rows, ledger)),
        (Kind::Lost, removed_without_request(rows, ledger)),
        (Kind::Lost, lost_data(rows, world)),
        (Kind::Orphan, orphans(rows, world)),
        (Kind::Double, doubles(rows, world, ledger)),
        (Kind::Stuck, stuck(rows)),
        (Kind::Wrong, wrong::wrong(rows, world, ledger)),
    ];
    let findings = checks.into_iter().flat_map(|(kind, found)| found.into_iter().map(move |what| (kind, what)));
    findings.map(|(kind, what)| Finding { kind, what }).collect()
}

fn lost(rows: &Rows, ledger: &Ledger) -> Vec<String> {
    let ended: BTreeSet<&str> = rows.events.iter().filter_map(EventRow::ended).collect();
    let in_flight: BTreeSet<&str> = rows.operations.iter().map(|operation| operation.id.as_str()).collect();
    let accepted = rows.events.iter().filter(|event| event.is_acceptance());
    let without_end = accepted.clone().filter_map(|event| {
        let id = event.operation.as_deref().filter(|id| !ended.contains(id) && !in_flight.contains(id))?;
        Some(format!("{} {id} of town {} was accepted and has not ended", event.action, event.town))
    });
    let without_row = ledger.towns.iter().filter(|id| rows.town(id).is_none());
    let without_row = without_row.map(|id| format!("town {id} was answered to a client and has no row"));

    let accounted_for: BTreeSet<&str> =
        rows.rigs.iter().map(|rig| rig.id.as_str()).chain(rigs_that_may_be_gone(rows, ledger)).collect();
    let accepted_rigs = accepted.filter_map(|event| Some((event.rig.as_deref()?, event.town.as_str())));
    let answered_rigs = ledger.rigs.iter().map(|(rig, town)| (rig.as_str(), town.as_str()));
    let rigs: BTreeSet<_> = accepted_rigs.chain(answered_rigs).collect();
    let lost_rigs = rigs.into_iter().filter(|(rig, _)| !accounted_for.contains(rig));
    let lost_rigs = lost_rigs.map(|(rig, town)| {
        format!("rig {rig} of town {town} was accepted and is gone, but its removal was not requested")
    });
    without_end.chain(without_row).chain(lost_rigs).collect()
}

/// Returns the rigs whose removal a client requested or whose sandbox refused them. An event of removal does not count,
/// because a removal by mistake leaves the same event.
fn rigs_that_may_be_gone<'a>(rows: &'a Rows, ledger: &'a Ledger) -> impl Iterator<Item = &'a str> {
    let is_refused =
        |event: &&EventRow| event.action == "rig_refused" || event.rig_name.as_deref() == Some(REFUSED_RIG);
    let refused = rows.events.iter().filter(is_refused).filter_map(|event| event.rig.as_deref());
    ledger.removals.keys().map(String::as_str).chain(refused)
}

/// Finds towns that are gone without a request and without a create that was rolled back.
fn removed_without_request(rows: &Rows, ledger: &Ledger) -> Vec<String> {
    let of = |event: &&EventRow| event.outcome == "rolled_back" || (event.action == "destroy" && event.is_acceptance());
    let excused = |town: &str| {
        let mut events = rows.events.iter().filter(|event| event.town == town).filter(of);
        events.any(|event| event.outcome == "rolled_back" || ledger.destroys.contains_key(town))
    };
    let removed = rows.towns.iter().filter(|town| town.gone && !excused(&town.id));
    removed.map(|town| format!("town {} is gone, but its removal was not requested", town.id)).collect()
}

/// Finds volumes with data that were deleted although their town exists.
fn lost_data(rows: &Rows, world: &World) -> Vec<String> {
    let living = rows.towns.iter().filter(|town| !town.gone);
    let kept = living.filter_map(|town| Some((town, world.volume(town.volume.as_deref()?)?)));
    let lost = kept.flat_map(|(town, kept)| {
        let deleted = world.deleted_volumes.iter().filter(|volume| volume.has_data);
        let of_town = deleted.filter(|volume| volume.name == kept.name && volume.app == kept.app);
        of_town.map(|volume| format!("volume {} of living town {} was deleted with data", volume.id, town.id))
    });
    lost.collect()
}

fn orphans(rows: &Rows, world: &World) -> Vec<String> {
    let machines: BTreeSet<_> = rows.towns.iter().filter_map(|town| town.machine.as_deref()).collect();
    let volumes: BTreeSet<_> = rows.towns.iter().filter_map(|town| town.volume.as_deref()).collect();
    let machine_orphans = world.machines.iter().filter(|machine| !machines.contains(machine.id.as_str()));
    let machine_orphans = machine_orphans.map(|machine| {
        let of = rows.town(&machine.town).map_or("unknown", |town| town.status.as_str());
        format!("machine {} ({}) carries the id of town {} ({of})", machine.id, machine.state, machine.town)
    });
    let volume_orphans = world.volumes.iter().filter(|volume| !volumes.contains(volume.id.as_str()));
    let volume_orphans =
        volume_orphans.map(|volume| format!("volume {} ({}) in {}", volume.id, volume.name, volume.app));
    machine_orphans.chain(volume_orphans).collect()
}

fn doubles(rows: &Rows, world: &World, ledger: &Ledger) -> Vec<String> {
    let machines = world.machines.iter().map(|machine| (machine.town.clone(), machine.id.as_str()));
    let machines = twice(machines).into_iter().map(|(town, ids)| format!("town {town} has machines {ids}"));
    let volumes = world.volumes.iter().map(|volume| (format!("{} in {}", volume.name, volume.app), volume.id.as_str()));
    let volumes = twice(volumes).into_iter().map(|(name, ids)| format!("there are several {name}: {ids}"));
    let keys = ledger.by_key.iter().flat_map(|(key, towns)| towns.iter().map(move |town| (key.clone(), town.as_str())));
    let keys = twice(keys).into_iter().map(|(key, towns)| format!("key {key} was answered with towns {towns}"));
    let ends = rows.events.iter().filter_map(|event| Some((event.ended()?.to_owned(), event.outcome.as_str())));
    let ends = twice(ends).into_iter().map(|(id, outcomes)| format!("operation {id} has ended as {outcomes}"));
    machines.chain(volumes).chain(keys).chain(ends).collect()
}

/// Returns the keys with more than one member, each with its members.
fn twice<'a>(of: impl Iterator<Item = (String, &'a str)>) -> Vec<(String, String)> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (key, member) in of {
        groups.entry(key).or_default().push(member);
    }
    groups
        .into_iter()
        .filter(|(_, members)| members.len() > 1)
        .map(|(key, members)| (key, members.join(", ")))
        .collect()
}

fn stuck(rows: &Rows) -> Vec<String> {
    let operations = rows.operations.iter().map(|operation| {
        let (step, error) = (operation.step.as_deref().unwrap_or("its first step"), operation.last_error.as_deref());
        let (id, town, kind) = (&operation.id, &operation.town, &operation.kind);
        format!("{kind} {id} of town {town} is still at {step}, last error {}", error.unwrap_or("none"))
    });
    let rigs = rows.pending_rigs().filter(|rig| !rows.in_flight(&rig.town));
    let rigs = rigs.map(|rig| format!("rig {} of running town {} is still {}", rig.id, rig.town, rig.status));
    operations.chain(rigs).collect()
}
