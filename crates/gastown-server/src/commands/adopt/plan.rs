//! The rows that follow from what Fly shows. Pure.

mod left_out;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use gastown_domain::{Power, SandboxId, SandboxRig, Town, TownConfig, TownId, TownName, TownStatus, UserId, VolumeId};
use gastown_fly::{MachineDetails, VolumeDetails, volume_name};

use crate::commands::fly_view::FlyView;

/// The keys of the metadata of a town's machine.
const OWNER: &str = "gastown_user_id";
const NAME: &str = "gastown_town_name";
const SANDBOX_ID: &str = "gastown_sandbox_id";

/// A row that would be written, and what is not known for certain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proposal {
    pub(super) town: Town,
    /// The rigs that its sandbox lists. `None` until it has answered.
    pub(super) rigs: Option<Vec<SandboxRig>>,
    pub(super) notes: Vec<String>,
}

/// A resource that no row can be written for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) resource: String,
    pub(super) reason: String,
    /// True for a town without a row, and for the machines of one. False for a volume.
    pub(super) is_town: bool,
}

/// Everything that follows from what Fly shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) proposals: Vec<Proposal>,
    pub(super) left_out: Vec<LeftOut>,
    /// The number of towns that the registry knows.
    pub(super) known: usize,
    /// The number of apps that were read.
    pub(super) apps: usize,
    /// The number of list entries that cannot be read.
    pub(super) unreadable: usize,
    /// The number of machines without our name and metadata.
    pub(super) other_machines: usize,
    /// The number of volumes without our name that no machine of ours mounts.
    pub(super) other_volumes: usize,
}

impl Plan {
    /// Moves the proposals for which `reason` returns one.
    pub(super) fn leave_out(&mut self, reason: impl Fn(&Proposal) -> Option<String>) {
        for proposal in std::mem::take(&mut self.proposals) {
            match reason(&proposal) {
                Some(reason) => self.left_out.push(left_out::town(&proposal.town, &reason)),
                None => self.proposals.push(proposal),
            }
        }
    }

    /// Returns the number of towns that no row can be written for.
    pub(super) fn towns_left_out(&self) -> usize {
        self.left_out.iter().filter(|left| left.is_town).count()
    }

    /// Returns the number of running towns whose rigs are not known.
    pub(super) fn running_without_rigs(&self) -> usize {
        let is_without = |proposal: &&Proposal| proposal.rigs.is_none() && proposal.town.status == TownStatus::Running;
        self.proposals.iter().filter(is_without).count()
    }
}

/// Returns the towns that Fly shows.
pub(super) fn towns_of(view: &FlyView) -> BTreeSet<TownId> {
    view.machines.iter().filter_map(|machine| machine.town).collect()
}

/// Returns the rows. `names` are those that the operator gives, and `known` are the rows of the registry.
pub(super) fn plan(view: &FlyView, names: &BTreeMap<TownId, TownName>, known: &BTreeMap<TownId, Town>) -> Plan {
    let mut plan = Plan {
        apps: view.apps,
        unreadable: view.unreadable,
        other_machines: view.other_machines,
        known: known.len(),
        ..Plan::default()
    };
    let mut used: BTreeSet<_> = known.values().filter_map(|town| town.volume_id.clone()).collect();
    for (town, machines) in by_town(view) {
        if known.contains_key(&town) {
            used.extend(machines.iter().filter_map(|machine| machine.volume.clone()));
            continue;
        }
        let [machine] = machines.as_slice() else {
            plan.left_out.push(left_out::machines(view, town, &machines));
            continue;
        };
        match proposal(view, town, machine, names.get(&town)) {
            Ok(proposal) => {
                used.extend(proposal.town.volume_id.clone());
                plan.proposals.push(proposal);
            }
            Err(reason) => plan.left_out.push(left_out::machine(machine, format!("{reason} (town {town})"))),
        }
    }
    for machine in view.machines.iter().filter(|machine| machine.town.is_none()) {
        plan.left_out.push(left_out::machine(machine, "its name and its metadata name different towns".to_owned()));
    }
    for volume in view.volumes.iter().filter(|volume| !used.contains(&volume.id)) {
        match left_out::volume(view, volume) {
            Some(left) => plan.left_out.push(left),
            None => plan.other_volumes += 1,
        }
    }
    leave_out_duplicates(&mut plan, known);
    plan.proposals.sort_by_key(|Proposal { town, .. }| (town.owner.clone(), town.name.clone()));
    plan
}

fn by_town(view: &FlyView) -> BTreeMap<TownId, Vec<&MachineDetails>> {
    let mut towns = BTreeMap::<_, Vec<_>>::new();
    for machine in &view.machines {
        if let Some(town) = machine.town {
            towns.entry(town).or_default().push(machine);
        }
    }
    towns
}

/// The volume of a town.
struct Volume<'a> {
    /// That of the mount, even if Fly does not show it.
    id: Option<VolumeId>,
    shown: Option<&'a VolumeDetails>,
}

/// Returns the volume that the machine mounts, whatever its name, or else the unused one with the town's name.
fn volume_of<'a>(
    view: &'a FlyView,
    town: TownId,
    machine: &MachineDetails,
    notes: &mut Vec<String>,
) -> Result<Volume<'a>, String> {
    let is_mounted = |volume: &VolumeId| {
        view.machines.iter().find(|other| other.id != machine.id && other.volume.as_ref() == Some(volume))
    };
    let Some(mounted) = &machine.volume else {
        let is_free =
            |volume: &&VolumeDetails| names(volume, town) && !volume.destroying && is_mounted(&volume.id).is_none();
        let mut named = view.volumes.iter().filter(is_free);
        return match (named.next(), named.next()) {
            (Some(volume), None) => Ok(Volume { id: Some(volume.id.clone()), shown: Some(volume) }),
            (None, _) => {
                notes.push("no volume was found".to_owned());
                Ok(Volume { id: None, shown: None })
            }
            (Some(_), Some(_)) => Err("several volumes have the name of its town, and it mounts none".to_owned()),
        };
    };
    if let Some(other) = is_mounted(mounted) {
        return Err(format!("machine {} mounts its volume {mounted} too", other.id));
    }
    let shown = view.volumes.iter().find(|volume| volume.id == *mounted);
    match shown {
        None => notes.push("its volume is not at Fly: the drift detection may report volume_lost".to_owned()),
        Some(volume) if volume.destroying => notes.push("its volume is being destroyed".to_owned()),
        Some(volume) if !names(volume, town) => {
            notes.push(format!("the name of its volume is {} and not {}", volume.name, volume_name(town)));
        }
        Some(_) => {}
    }
    Ok(Volume { id: Some(mounted.clone()), shown })
}

/// Returns true if the name of a volume is that of this town.
fn names(volume: &VolumeDetails, town: TownId) -> bool {
    volume.tag.is_some_and(|tag| tag.names(town))
}

fn proposal(
    view: &FlyView,
    town: TownId,
    machine: &MachineDetails,
    given: Option<&TownName>,
) -> Result<Proposal, String> {
    let mut notes = Vec::new();
    let status = status(machine.power, &mut notes)?;
    let owner = machine.metadata.get(OWNER).ok_or("its metadata names no owner")?;
    let owner: UserId = owner.parse().map_err(|_| "the owner in its metadata is not valid".to_owned())?;
    let sandbox_id = machine.metadata.get(SANDBOX_ID).and_then(|id| id.parse::<SandboxId>().ok());
    let name = name(town, machine, &owner, sandbox_id.as_ref(), given)?;
    let volume = volume_of(view, town, machine, &mut notes)?;
    let region = machine.region.clone().or_else(|| volume.shown.and_then(|volume| volume.region.clone()));
    let created_at = created_at(machine, volume.shown, &mut notes);
    let town = Town {
        id: town,
        sandbox_id: sandbox_id.unwrap_or_else(|| SandboxId::derive(&owner, &name)),
        owner,
        name,
        machine_id: Some(machine.id.clone()),
        volume_id: volume.id,
        region,
        status,
        last_r2_sync_at: None,
        last_heartbeat_at: None,
        config: TownConfig::default(),
        created_at,
        destroyed_at: None,
    };
    Ok(Proposal { town, rigs: None, notes })
}

fn status(power: Power, notes: &mut Vec<String>) -> Result<TownStatus, String> {
    match power {
        Power::On | Power::Starting => Ok(TownStatus::Running),
        Power::Off | Power::Stopping => Ok(TownStatus::Stopped),
        Power::Failed => {
            notes.push("its machine has failed".to_owned());
            Ok(TownStatus::Stopped)
        }
        Power::Changing => {
            notes.push("the state of its machine is not known now, so it counts as stopped".to_owned());
            Ok(TownStatus::Stopped)
        }
        Power::Destroying => Err("it is being destroyed".to_owned()),
    }
}

/// Returns the name that the operator gives, that of the metadata, or that of the sandbox id. The sandbox id must agree.
fn name(
    town: TownId,
    machine: &MachineDetails,
    owner: &UserId,
    sandbox_id: Option<&SandboxId>,
    given: Option<&TownName>,
) -> Result<TownName, String> {
    let recorded = machine.metadata.get(NAME).and_then(|name| name.parse().ok());
    let name = given.cloned().or(recorded).or_else(|| sandbox_id?.name_of(owner));
    let Some(name) = name else {
        return Err(format!("its metadata does not show the name of its town: add --name {town}=NAME"));
    };
    if sandbox_id.is_none_or(|id| *id == SandboxId::derive(owner, &name)) {
        return Ok(name);
    }
    Err(match given {
        Some(_) => format!("its sandbox id was not derived from the name {name}: correct --name"),
        None => format!(
            "its metadata contradicts itself: the sandbox id was not derived from the name {name}. Add --name {town}=NAME"
        ),
    })
}

fn created_at(machine: &MachineDetails, volume: Option<&VolumeDetails>, notes: &mut Vec<String>) -> DateTime<Utc> {
    // The volume is created first, and never replaced while it exists.
    let shown = volume.and_then(|volume| volume.created_at).or(machine.created_at);
    shown.unwrap_or_else(|| {
        notes.push("its time of creation is not known".to_owned());
        DateTime::UNIX_EPOCH
    })
}

/// Leaves out towns of the same owner and name, because only one of them can live.
fn leave_out_duplicates(plan: &mut Plan, known: &BTreeMap<TownId, Town>) {
    let living = known.values().filter(|town| town.status != TownStatus::Destroyed);
    let mut counts = BTreeMap::<_, usize>::new();
    for town in plan.proposals.iter().map(|proposal| &proposal.town).chain(living) {
        *counts.entry((town.owner.clone(), town.name.clone())).or_default() += 1;
    }
    plan.leave_out(|Proposal { town, .. }| {
        let several = counts.get(&(town.owner.clone(), town.name.clone())).is_some_and(|count| *count > 1);
        several.then(|| format!("several towns of {} have the name {}", town.owner, town.name))
    });
}

#[cfg(test)]
mod tests;
