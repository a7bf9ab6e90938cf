//! The rows that follow from what Fly shows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use gastown_domain::{Power, SandboxId, SandboxRig, Town, TownConfig, TownId, TownName, TownStatus, UserId};
use gastown_fly::{MachineDetails, VolumeDetails};

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
    pub(super) notes: Vec<&'static str>,
}

/// A resource that no row can be written for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) resource: String,
    pub(super) reason: String,
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
}

impl Plan {
    /// Moves the proposals for which `reason` returns one.
    pub(super) fn leave_out(&mut self, reason: impl Fn(&Proposal) -> Option<String>) {
        for proposal in std::mem::take(&mut self.proposals) {
            match reason(&proposal) {
                Some(reason) => self.left_out.push(LeftOut { resource: format!("town {}", proposal.town.id), reason }),
                None => self.proposals.push(proposal),
            }
        }
    }
}

/// Returns the rows. `names` are those that the operator gives.
pub(super) fn plan(view: &FlyView, names: &BTreeMap<TownId, TownName>) -> Plan {
    let mut plan = Plan { apps: view.apps, unreadable: view.unreadable, ..Plan::default() };
    let mut used = BTreeSet::new();
    for (town, machines) in by_town(view) {
        let [machine] = machines.as_slice() else {
            let ids: Vec<_> = machines.iter().map(|machine| machine.id.to_string()).collect();
            let reason = "several machines name this town: delete the wrong one at Fly first".to_owned();
            plan.left_out.push(LeftOut { resource: format!("machines {}", ids.join(", ")), reason });
            continue;
        };
        let volumes = volumes_of(view, town, machine);
        match proposal(town, machine, &volumes, names.get(&town)) {
            Ok(proposal) => {
                used.extend(proposal.town.volume_id.iter().map(ToString::to_string));
                plan.proposals.push(proposal);
            }
            Err(reason) => plan.left_out.push(LeftOut { resource: format!("machine {}", machine.id), reason }),
        }
    }
    for machine in view.machines.iter().filter(|machine| machine.town.is_none()) {
        let reason = "its name and its metadata name different towns".to_owned();
        plan.left_out.push(LeftOut { resource: format!("machine {}", machine.id), reason });
    }
    for volume in view.volumes.iter().filter(|volume| !used.contains(volume.id.as_str())) {
        let reason = "no machine that is adopted mounts it, and a volume does not name its owner".to_owned();
        plan.left_out.push(LeftOut { resource: format!("volume {}", volume.id), reason });
    }
    leave_out_duplicates(&mut plan);
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

/// Returns the volumes of a town: that of the mount, or else those with its name.
fn volumes_of<'a>(view: &'a FlyView, town: TownId, machine: &MachineDetails) -> Vec<&'a VolumeDetails> {
    let named = view.volumes.iter().filter(|volume| volume.tag.names(town) && !volume.destroying);
    match &machine.volume {
        Some(mounted) => named.filter(|volume| volume.id == *mounted).collect(),
        None => named.collect(),
    }
}

fn proposal(
    town: TownId,
    machine: &MachineDetails,
    volumes: &[&VolumeDetails],
    given: Option<&TownName>,
) -> Result<Proposal, String> {
    let mut notes = Vec::new();
    let status = status(machine.power, &mut notes)?;
    let owner = machine.metadata.get(OWNER).ok_or("its metadata names no owner")?;
    let owner: UserId = owner.parse().map_err(|_| "the owner in its metadata is not valid".to_owned())?;
    let sandbox_id = machine.metadata.get(SANDBOX_ID).and_then(|id| id.parse::<SandboxId>().ok());
    let name = name(machine, &owner, sandbox_id.as_ref(), given)?;
    let volume = match volumes {
        [volume] => Some(*volume),
        [] => {
            notes.push("no volume was found");
            None
        }
        _ => return Err("several volumes have the name of its town, and it mounts none".to_owned()),
    };
    let region = machine.region.clone().or_else(|| volume.and_then(|volume| volume.region.clone()));
    let created_at = created_at(machine, volume, &mut notes);
    let town = Town {
        id: town,
        sandbox_id: sandbox_id.unwrap_or_else(|| SandboxId::derive(&owner, &name)),
        owner,
        name,
        machine_id: Some(machine.id.clone()),
        volume_id: volume.map(|volume| volume.id.clone()),
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

fn status(power: Power, notes: &mut Vec<&'static str>) -> Result<TownStatus, String> {
    match power {
        Power::On | Power::Starting => Ok(TownStatus::Running),
        Power::Off | Power::Stopping => Ok(TownStatus::Stopped),
        Power::Failed => {
            notes.push("its machine has failed");
            Ok(TownStatus::Stopped)
        }
        Power::Changing => {
            notes.push("the state of its machine is not known now, so it counts as stopped");
            Ok(TownStatus::Stopped)
        }
        Power::Destroying => Err("it is being destroyed".to_owned()),
    }
}

/// Returns the name that the operator gives, that of the metadata, or that of the sandbox id. The sandbox id must agree.
fn name(
    machine: &MachineDetails,
    owner: &UserId,
    sandbox_id: Option<&SandboxId>,
    given: Option<&TownName>,
) -> Result<TownName, String> {
    let recorded = machine.metadata.get(NAME).and_then(|name| name.parse().ok());
    let name = given.cloned().or(recorded).or_else(|| sandbox_id?.name_of(owner));
    let Some(name) = name else {
        return Err("its metadata does not show the name of its town: add --name ID=NAME".to_owned());
    };
    match sandbox_id {
        Some(id) if *id != SandboxId::derive(owner, &name) => {
            Err(format!("its sandbox id was not derived from the name {name}: correct --name"))
        }
        Some(_) | None => Ok(name),
    }
}

fn created_at(
    machine: &MachineDetails,
    volume: Option<&VolumeDetails>,
    notes: &mut Vec<&'static str>,
) -> DateTime<Utc> {
    // The volume is created first, and never replaced while it exists.
    let shown = volume.and_then(|volume| volume.created_at).or(machine.created_at);
    shown.unwrap_or_else(|| {
        notes.push("its time of creation is not known");
        DateTime::UNIX_EPOCH
    })
}

/// Leaves out towns of the same owner and name, because only one of them can live.
fn leave_out_duplicates(plan: &mut Plan) {
    let mut counts = BTreeMap::<_, usize>::new();
    for Proposal { town, .. } in &plan.proposals {
        *counts.entry((town.owner.clone(), town.name.clone())).or_default() += 1;
    }
    plan.leave_out(|Proposal { town, .. }| {
        let several = counts.get(&(town.owner.clone(), town.name.clone())).is_some_and(|count| *count > 1);
        several.then(|| format!("several towns of {} have the name {}", town.owner, town.name))
    });
}

#[cfg(test)]
mod tests;
