//! The reasons why no row can be written for a resource.

use gastown_domain::{Power, Town, TownId};
use gastown_fly::{MachineDetails, VolumeDetails, machine_name};

use super::{LeftOut, NAME, OWNER, names};
use crate::commands::fly_view::FlyView;

/// Leaves out a town that is otherwise complete.
pub(super) fn town(town: &Town, reason: &str) -> LeftOut {
    let Town { id, owner, name, .. } = town;
    let machine = town.machine_id.as_ref().map_or("-", |machine| machine.as_str());
    let volume = town.volume_id.as_ref().map_or("-", |volume| volume.as_str());
    let reason = format!("{reason} (name {name}, user {owner}, machine {machine}, volume {volume})");
    LeftOut { resource: format!("town {id}"), reason, is_town: true }
}

/// Leaves out the town of a machine.
pub(super) fn machine(machine: &MachineDetails, reason: String) -> LeftOut {
    LeftOut { resource: format!("machine {}", machine.id), reason, is_town: true }
}

/// Leaves out a town that several machines name, and says which one is right.
pub(super) fn machines(view: &FlyView, town: TownId, machines: &[&MachineDetails]) -> LeftOut {
    let ids: Vec<_> = machines.iter().map(|machine| machine.id.as_str()).collect();
    let descriptions: Vec<_> = machines.iter().map(|machine| described(machine)).collect();
    let mut right = machines.iter().filter(|machine| is_right(view, town, machine));
    let advice = match (right.next(), right.next()) {
        (Some(machine), None) => format!(
            "keep {}, which has the derived name and mounts the volume of the town, and delete the others at Fly first",
            machine.id
        ),
        (None, _) | (Some(_), Some(_)) => format!(
            "compare them at Fly and delete the wrong ones first. Not exactly one has the derived name {} and mounts the volume of the town",
            machine_name(town)
        ),
    };
    LeftOut {
        resource: format!("machines {}", ids.join(", ")),
        reason: format!("several machines name town {town}: {}: {advice}", descriptions.join("; ")),
        is_town: true,
    }
}

/// Leaves out a volume. Returns `None` if it has nothing to do with this service.
pub(super) fn volume(view: &FlyView, volume: &VolumeDetails) -> Option<LeftOut> {
    let mounting = view.machines.iter().find(|machine| machine.volume.as_ref() == Some(&volume.id));
    let reason = match (mounting, volume.tag) {
        (None, None) => return None,
        (Some(machine), _) => format!("machine {} mounts it, and is left out", machine.id),
        (None, Some(_)) => {
            let holder = volume.held_by.as_ref().map(|holder| format!(" (Fly shows that machine {holder} holds it)"));
            let holder = holder.unwrap_or_default();
            format!("no machine that is adopted mounts it{holder}, and a volume does not name its owner")
        }
    };
    Some(LeftOut { resource: format!("volume {}", volume.id), reason, is_town: false })
}

/// Returns true if the machine has the derived name and mounts a volume of the town.
fn is_right(view: &FlyView, town: TownId, machine: &MachineDetails) -> bool {
    let is_mounted = |volume: &VolumeDetails| machine.volume.as_ref() == Some(&volume.id) && names(volume, town);
    machine.name == machine_name(town) && view.volumes.iter().any(is_mounted)
}

fn described(machine: &MachineDetails) -> String {
    let shown = |key| machine.metadata.get(key).map_or("-", String::as_str);
    let volume = machine.volume.as_ref().map_or("no volume", |volume| volume.as_str());
    let (id, name, power) = (&machine.id, &machine.name, power(machine.power));
    format!("{id} ({name}, {power}, mounts {volume}, town name {}, user {})", shown(NAME), shown(OWNER))
}

const fn power(power: Power) -> &'static str {
    match power {
        Power::Starting => "starting",
        Power::On => "started",
        Power::Stopping => "stopping",
        Power::Off => "stopped",
        Power::Failed => "failed",
        Power::Destroying => "being destroyed",
        Power::Changing => "state not known",
    }
}
