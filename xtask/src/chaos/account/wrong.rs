//! Rows against the world, and answers against rows.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ledger::{Ledger, Mischief, Removal, UNPUSHED};
use super::super::rows::{Rows, TownRow};
use super::super::world::{Machine, Volume, World};

/// Towns in flight are left out: they are stuck, and may say what they like.
pub(super) fn wrong(rows: &Rows, world: &World, told: &Ledger) -> Vec<String> {
    let at_rest = rows.towns.iter().filter(|town| !rows.in_flight(&town.id));
    let towns = at_rest.clone().flat_map(|town| {
        let found = wrong_with(town, world, &told.mischief).into_iter().chain(strange(town, world));
        found.map(move |what| format!("town {} ({}) {what}", town.id, town.status))
    });
    let removals = rows
        .events
        .iter()
        .filter(|event| event.outcome == "rolled_back" || (event.action == "destroy" && event.outcome == "done"));
    let lives = |town: &str| rows.town(town).is_some_and(|town| !town.gone);
    let living = removals.filter(|event| lives(&event.town));
    let living = living.map(|event| format!("town {} was removed ({}) and lives", event.town, event.outcome));
    let destroyed = told.destroys.iter().filter(|(town, answered)| **answered && lives(town) && !rows.in_flight(town));
    let destroyed = destroyed.map(|(town, _)| format!("town {town} was answered to be destroyed and lives"));
    let running = at_rest.filter(|town| !town.gone && town.status == "running");
    let rigs = running.flat_map(|town| missing_rigs(town, rows, world));
    let found = towns.chain(living).chain(destroyed).chain(rigs).chain(kept_rigs(rows, told));
    found.chain(shared_apps(rows, world)).collect()
}

/// Whether a row that nobody works on has still to be told what the world is like.
pub(in crate::chaos) fn is_drifting(rows: &Rows, world: &World, told: &Ledger) -> bool {
    let settled = rows.towns.iter().filter(|town| !town.gone && !rows.in_flight(&town.id));
    settled.into_iter().any(|town| wrong_with(town, world, &told.mischief).is_some())
}

/// What the row says that is not so.
fn wrong_with(town: &TownRow, world: &World, mischief: &Mischief) -> Option<String> {
    match town.status.as_str() {
        "destroyed" => {
            let left = [town.machine.as_deref(), town.volume.as_deref()].into_iter().flatten().collect::<Vec<_>>();
            (!left.is_empty() || !town.gone).then(|| format!("still names {left:?}, soft-deleted: {}", town.gone))
        }
        "running" | "stopped" => wrong_volume(town, world, mischief).or_else(|| wrong_machine(town, world, mischief)),
        _ => Some("is not being worked on".to_owned()),
    }
}

/// A volume that was lost behind our back is still named, and its owner told.
fn wrong_volume(town: &TownRow, world: &World, mischief: &Mischief) -> Option<String> {
    let is_there = volume_of(town, world).is_some();
    let is_known_lost = town.volume.as_ref().is_some_and(|volume| mischief.volumes.contains(volume))
        && town.drift.as_deref() == Some("volume_lost");
    (!is_there && !is_known_lost)
        .then(|| format!("has no volume on Fly: {:?}, its owner reads {:?}", town.volume, town.drift))
}

/// A town whose machine went behind our back is off, and names none.
fn wrong_machine(town: &TownRow, world: &World, mischief: &Mischief) -> Option<String> {
    let Some(machine) = machine_of(town, world) else {
        let is_bereft = town.machine.is_none() && town.status == "stopped" && mischief.bereft.contains(&town.id);
        return (!is_bereft).then(|| format!("has no machine on Fly: {:?}", town.machine));
    };
    let wanted = if town.status == "running" { "started" } else { "stopped" };
    if machine.state != wanted || machine.serving != (wanted == "started") {
        return Some(format!("has machine {}: {}, serving: {}", machine.id, machine.state, machine.serving));
    }
    (machine.volume != town.volume)
        .then(|| format!("names volume {:?}, its machine {} mounts {:?}", town.volume, machine.id, machine.volume))
}

/// Whether what the row names is the town's own: by name, by metadata, and in one app.
fn strange(town: &TownRow, world: &World) -> Option<String> {
    let (machine, volume) = (machine_of(town, world), volume_of(town, world));
    if let Some(machine) = machine.filter(|machine| machine.town != town.id || machine.name != town.machine_name) {
        return Some(format!("names machine {} ({}), which is of town {:?}", machine.id, machine.name, machine.town));
    }
    if let Some(volume) = volume.filter(|volume| volume.name != town.volume_name) {
        return Some(format!("names volume {}, which is {}, not {}", volume.id, volume.name, town.volume_name));
    }
    let apps = (&machine?.app, &volume?.app);
    (apps.0 != apps.1).then(|| format!("has its machine in app {} and its volume in app {}", apps.0, apps.1))
}

/// Each user has one app, and no two have the same.
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
    spread.chain(shared.map(|(app, users)| format!("app {app} is of users {users:?}"))).collect()
}

fn machine_of<'a>(town: &TownRow, world: &'a World) -> Option<&'a Machine> {
    world.machine(town.machine.as_deref()?)
}

fn volume_of<'a>(town: &TownRow, world: &'a World) -> Option<&'a Volume> {
    world.volume(town.volume.as_deref()?)
}

/// Rigs whose removal was answered and that are kept. One that is still to be removed waits for its sandbox, and stays
/// where work would be lost.
fn kept_rigs(rows: &Rows, told: &Ledger) -> Vec<String> {
    let kept = rows.rigs.iter().filter(|rig| match told.removals.get(&rig.id) {
        Some(Removal::Done) => true,
        Some(Removal::Pending) => rig.status != "removing" && !rig.repository.contains(UNPUSHED),
        Some(Removal::Asked) | None => false,
    });
    kept.map(|rig| format!("rig {} of town {} was answered to be removed and is {}", rig.id, rig.town, rig.status))
        .collect()
}

/// Rigs that a running town is said to have, and its sandbox has not. One that only the sandbox has may have been made
/// by hand; it is nobody's loss.
fn missing_rigs(town: &TownRow, rows: &Rows, world: &World) -> Vec<String> {
    let present = town.volume.as_deref().and_then(|id| world.volume(id)).map(|volume| volume.rigs.as_slice());
    let present = present.unwrap_or_default();
    let active = rows.rigs.iter().filter(|rig| rig.town == town.id && rig.status == "active");
    let missing = active.filter(|rig| !present.iter().any(|name| name.eq_ignore_ascii_case(&rig.name)));
    missing.map(|rig| format!("rig {} ({}) of town {} is not in its sandbox", rig.id, rig.name, town.id)).collect()
}
