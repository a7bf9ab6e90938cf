//! Comparing one idle town with the provider: its machine and volume by recorded id, by name only if those are gone. A town
//! that agrees with the lists of its app needs no call.

use gastown_domain::ports::{ObservedMachine, ObservedVolume, ProviderError};
use gastown_domain::{AppName, DriftVerdict, MachineComparison, Power, Seen, Town, VolumeComparison, compare};

use super::app_lists::ListedTown;
use crate::locate;
use crate::ports::Provider;

/// A town's row beside what was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TownComparison {
    /// The machine.
    pub(super) machine: MachineComparison,
    /// The volume. Observed only if the machine alone does not decide.
    pub(super) volume: VolumeComparison,
    /// The machine that was found.
    pub(super) found: Option<ObservedMachine>,
    /// The volume that holds the data, if it is not the recorded one.
    pub(super) moved_to: Option<ObservedVolume>,
}

impl TownComparison {
    /// Nothing could be observed.
    pub(super) const UNKNOWN: Self = Self::of(Seen::Unknown, true, None);

    const fn of(seen: Seen<Power>, is_recorded: bool, found: Option<ObservedMachine>) -> Self {
        let machine = MachineComparison { seen, is_recorded };
        Self { machine, volume: VolumeComparison::Unknown, found, moved_to: None }
    }
}

/// Observes a town, of which the lists of its app may have shown something.
///
/// Errors: those of any call. A part of an observation decides nothing.
pub(super) async fn compare_town(
    provider: &Provider,
    app: &AppName,
    town: &Town,
    listed: ListedTown,
) -> Result<TownComparison, ProviderError> {
    let volume_is_listed = listed.has_volume;
    if let Some(agreeing) = agreeing_with_lists(town, listed) {
        return Ok(agreeing);
    }
    let mut compared = compare_machine(provider, app, town).await?;
    let volume_decides = compare(town.status, compared.machine, VolumeComparison::There) == DriftVerdict::Agrees;
    if volume_decides && (volume_is_listed || is_running_on_its_volume(town, compared.found.as_ref())) {
        compared.volume = VolumeComparison::There;
    } else if volume_decides {
        (compared.volume, compared.moved_to) = compare_volume(provider, app, town, compared.found.as_ref()).await?;
    }
    Ok(compared)
}

/// Returns the comparison if the lists show the recorded machine on the recorded volume, in the state of the row. Lists
/// decide nothing else (FM-32).
fn agreeing_with_lists(town: &Town, listed: ListedTown) -> Option<TownComparison> {
    let machine = listed.machine.filter(|machine| listed.has_volume && machine.volume == town.volume_id)?;
    let mut compared = TownComparison::of(Seen::Present(machine.power), true, Some(machine));
    compared.volume = VolumeComparison::There;
    (compare(town.status, compared.machine, compared.volume) == DriftVerdict::Agrees).then_some(compared)
}

/// A provider deletes no volume under a machine that runs on it, and a host that loses a volume stops the machine.
fn is_running_on_its_volume(town: &Town, machine: Option<&ObservedMachine>) -> bool {
    town.volume_id.is_some()
        && machine.is_some_and(|machine| machine.power == Power::On && machine.volume == town.volume_id)
}

async fn compare_machine(provider: &Provider, app: &AppName, town: &Town) -> Result<TownComparison, ProviderError> {
    let machines = provider.machines.as_ref();
    if let Some(machine) = locate::machine::recorded(machines, app, town).await? {
        return Ok(TownComparison::of(Seen::Present(machine.power), true, Some(machine)));
    }
    let named = locate::machine::named(machines, app, town).await?;
    let staying: Vec<_> = named.iter().filter(|machine| machine.power != Power::Destroying).collect();
    Ok(match (staying.as_slice(), named.first()) {
        ([], None) => TownComparison::of(Seen::Absent, town.machine_id.is_none(), None),
        ([], Some(leaving)) => TownComparison::of(Seen::Present(leaving.power), false, Some(leaving.clone())),
        ([one], _) => TownComparison::of(Seen::Present(one.power), false, Some((*one).clone())),
        // Nothing tells which of several is the town's.
        ([_, _, ..], _) => TownComparison::UNKNOWN,
    })
}

/// Observes the volume, and the one that holds its data if it was moved.
async fn compare_volume(
    provider: &Provider,
    app: &AppName,
    town: &Town,
    machine: Option<&ObservedMachine>,
) -> Result<(VolumeComparison, Option<ObservedVolume>), ProviderError> {
    // A town that has run has a volume. A row that records none is for an operator.
    let Some(id) = &town.volume_id else { return Ok((VolumeComparison::Unknown, None)) };
    let mounted = machine.and_then(|machine| machine.volume.as_ref());
    let recorded = locate::volume::recorded(provider.volumes.as_ref(), app, town).await?;
    match &recorded {
        Some(volume) if !volume.destroying => return Ok((VolumeComparison::There, None)),
        // A volume that was moved elsewhere stays for some days.
        Some(_) if mounted.is_none_or(|mounted| mounted == id) => return Ok((VolumeComparison::Unknown, None)),
        Some(_) | None => {}
    }
    // The second, different read (FM-22).
    let named = locate::volume::named(provider.volumes.as_ref(), app, town).await?;
    if named.is_empty() && recorded.is_none() {
        return Ok((VolumeComparison::Gone, None));
    }
    // The recorded id again: the list is older than the read before it.
    match locate::volume::mounted(&named, mounted).filter(|mounted| mounted.id != *id) {
        Some(mounted) => Ok((VolumeComparison::Moved, Some(mounted.clone()))),
        None => Ok((VolumeComparison::Unsure, None)),
    }
}
