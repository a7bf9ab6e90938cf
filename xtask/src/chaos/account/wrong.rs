//! Rows compared with Fly, and answers compared with rows.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ledger::{ExternalChanges, Ledger, Removal, UNPUSHED};
use super::super::rows::{Rows, TownRow};
use super::super::world::{Machine, Volume, World};

/// Finds rows that are wrong. Towns in flight are left out, because they are reported as stuck.
pub(super) fn wrong(rows: &Rows, world: &World, ledger: &Ledger) -> Vec<String> {
    let at_rest = rows.towns.iter().filter(|town| !rows.in_flight(&town.id));
    let towns = at_rest.clone().flat_map(|town| {
        let found = mismatch(town, world, &ledger.external).into_iter().chain(foreign(town, world));
        found.map(move |what| format!("town {} ({}) {what}", town.id, town.status))
    });
    let removals = rows
        .events
        .iter()
        .filter(|event| event.outcome == "rolled_back" || (event.action == "destroy" && event.outcome == "done"));
    let lives = |town: &str| rows.town(town).is_some_and(|town| !town.gone);
    let living = removals.filter(|event| lives(&event.town));
    let living = living.map(|event| format!("town {} was removed ({}) and still exists", event.town, event.outcome));
    let destroyed =
        ledger.destroys.iter().filter(|(town, answered)| **answered && lives(town) && !rows.in_flight(town));
    let destroyed = destroyed.map(|(town, _)| format!("town {town} was answered as destroyed and still exists"));
    let running = at_rest.filter(|town| !town.gone && town.status == "running");
    let rigs = running.flat_map(|town| missing_rigs(town, rows, world));
    let found = towns.chain(living).chain(destroyed).chain(rigs).chain(kept_rigs(rows, ledger));
    found.chain(shared_apps(rows, world)).collect()
}

/// Returns true while a row without an operation differs from Fly.
pub(in crate::chaos) fn is_drifting(rows: &Rows, world: &World, ledger: &Ledger) -> bool {
    let settled = rows.towns.iter().filter(|town| !town.gone && !rows.in_flight(&town.id));
    settled.into_iter().any(|town| mismatch(town, world, &ledger.external).is_some())
}

/// Describes how the row differs from Fly.
fn mismatch(town: &TownRow, world: &World, external: &ExternalChanges) -> Option<String> {
    match town.status.as_str() {
        "destroyed" => {
            let left = [town.machine.as_deref(), town.volume.as_deref()].into_iter().flatten().collect::<Vec<_>>();
            (!left.is_empty() || !town.gone).then(|| format!("still names {left:?}, soft-deleted: {}", town.gone))
        }
        "running" | "stopped" => wrong_volume(town, world, external).or_else(|| wrong_machine(town, world, external)),
        _ => Some("has no operation in flight".to_owned()),
    }
}

/// Describes a missing volume. One that was lost from outside is accepted if the row names it and reports the loss.
fn wrong_volume(town: &TownRow, world: &World, external: &ExternalChanges) -> Option<String> {
    let is_there = volume_of(town, world).is_some();
    let is_known_lost = town.volume.as_ref().is_some_and(|volume| external.volumes.contains(volume))
        && town.drift.as_deref() == Some("volume_lost");
    (!is_there && !is_known_lost)
        .then(|| format!("has no volume on Fly: {:?}, its owner reads {:?}", town.volume, town.drift))
}

/// Describes a missing or wrong machine. One that was destroyed from outside is accepted if the town is stopped and names
/// no machine.
fn wrong_machine(town: &TownRow, world: &World, external: &ExternalChanges) -> Option<String> {
    let Some(machine) = machine_of(town, world) else {
        let is_accepted =
            town.machine.is_none() && town.status == "stopped" && external.towns_without_machine.contains(&town.id);
        return (!is_accepted).then(|| format!("has no machine on Fly: {:?}", town.machine));
    };
    let wanted = if town.status == "running" { "started" } else { "stopped" };
    if machine.state != wanted || machine.serving != (wanted == "started") {
        return Some(format!("has machine {}: {}, serving: {}", machine.id, machine.state, machine.serving));
    }
    (machine.volume != town.volume)
        .then(|| format!("names volume {:?}, its machine {} mounts {:?}", town.volume, machine.id, machine.volume))
}

/// Describes a machine or volume of the row that is not the town's by name, metadata or app.
fn foreign(town: &TownRow, world: &World) -> Option<String> {
    let (machine, volume) = (machine_of(town, world), volume_of(town, world));
    if let Some(machine) = machine.filter(|machine| machine.town != town.id || machine.name != town.machine_name) {
        return Some(format!("names machine {} ({}) of town {:?}", machine.id, machine.name, machine.town));
    }
    if let Some(volume) = volume.filter(|volume| volume.name != town.volume_name) {
        return Some(format!("names volume {}, which is called {}, not {}", volume.id, volume.name, town.volume_name));
    }
    let apps = (&machine?.app, &volume?.app);
    (apps.0 != apps.1).then(|| format!("has its machine in app {} and its volume in app {}", apps.0, apps.1))
}

/// Finds users with several apps, and apps of several users.
fn shared_apps(rows: &Rows, world: &World) -> Vec<String> {
    let mut apps_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut users_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for town in &rows.towns {
        let machine = machine_of(town, world).map(|machine| machine.app.as_str());
        for app in machine.into_iter().chain(volume_of(town, world).map(|volume| volume.app.as_str())) {
            apps_of.entry(&town.user).or_default().insert(app);
            users_of.entry(app).or_default().insert(&town.user);
        }
    }
    let spread = apps_of.into_iter().filter(|(_, apps)| apps.len() > 1);
    let spread = spread.map(|(user, apps)| format!("the towns of user {user} are in apps {apps:?}"));
    let shared = users_of.into_iter().filter(|(_, users)| users.len() > 1);
    spread.chain(shared.map(|(app, users)| format!("app {app} belongs to users {users:?}"))).collect()
}

fn machine_of<'a>(town: &TownRow, world: &'a World) -> Option<&'a Machine> {
    world.machine(town.machine.as_deref()?)
}

fn volume_of<'a>(town: &TownRow, world: &'a World) -> Option<&'a Volume> {
    world.volume(town.volume.as_deref()?)
}

/// Finds rigs that are still there after an answer that they were removed. A pending removal waits for the sandbox, and a
/// rig with unpushed work stays.
fn kept_rigs(rows: &Rows, ledger: &Ledger) -> Vec<String> {
    let kept = rows.rigs.iter().filter(|rig| match ledger.removals.get(&rig.id) {
        Some(Removal::Done) => true,
        Some(Removal::Pending) => rig.status != "removing" && !rig.repository.contains(UNPUSHED),
        Some(Removal::Requested) | None => false,
    });
    kept.map(|rig| format!("rig {} of town {} was answered as removed and is {}", rig.id, rig.town, rig.status))
        .collect()
}

/// Finds active rigs of a running town that its sandbox does not have. A rig that only the sandbox has is no finding,
/// because it may have been added by hand.
fn missing_rigs(town: &TownRow, rows: &Rows, world: &World) -> Vec<String> {
    let present = town.volume.as_deref().and_then(|id| world.volume(id)).map(|volume| volume.rigs.as_slice());
    let present = present.unwrap_or_default();
    let active = rows.rigs.iter().filter(|rig| rig.town == town.id && rig.status == "active");
    let missing = active.filter(|rig| !present.iter().any(|name| name.eq_ignore_ascii_case(&rig.name)));
    missing.map(|rig| format!("rig {} ({}) of town {} is not in its sandbox", rig.id, rig.name, town.id)).collect()
}
