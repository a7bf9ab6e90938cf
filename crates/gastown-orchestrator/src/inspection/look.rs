//! One look at a settled town: its machine and volume by the ids of its row, by name only where those are gone.

use gastown_domain::ports::{ObservedMachine, ObservedVolume, ProviderError};
use gastown_domain::{AppName, DriftVerdict, MachineComparison, Power, Seen, Town, VolumeComparison, compare};

use crate::ports::Provider;

/// What was seen of a town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// Its machine.
    pub(super) machine: MachineComparison,
    /// Its volume; looked at only where the machine alone does not decide.
    pub(super) volume: VolumeComparison,
    /// The machine that is there.
    pub(super) found: Option<ObservedMachine>,
    /// Where the data is, if not where the row says.
    pub(super) moved_to: Option<ObservedVolume>,
}

impl Look {
    /// Nothing could be seen.
    pub(super) const UNCLEAR: Self = Self::of(Seen::Unknown, true, None);

    const fn of(seen: Seen<Power>, is_the_rows: bool, found: Option<ObservedMachine>) -> Self {
        let machine = MachineComparison { seen, is_the_rows };
        Self { machine, volume: VolumeComparison::Unknown, found, moved_to: None }
    }
}

/// Looks at a town, whose volume may have been seen in its app's list already.
///
/// Errors: any call's; what a part of a look shows is not enough to go by.
pub(super) async fn look(
    provider: &Provider,
    app: &AppName,
    town: &Town,
    volume_is_listed: bool,
) -> Result<Look, ProviderError> {
    let mut look = look_for_machine(provider, app, town).await?;
    let volume_decides = compare(town.status, look.machine, VolumeComparison::There) == DriftVerdict::Agrees;
    if volume_decides && (volume_is_listed || is_running_on_its_volume(town, look.found.as_ref())) {
        look.volume = VolumeComparison::There;
    } else if volume_decides {
        (look.volume, look.moved_to) = look_for_volume(provider, app, town, look.found.as_ref()).await?;
    }
    Ok(look)
}

/// Fly deletes no volume under a machine that runs on it, and a host that loses one stops the machine.
fn is_running_on_its_volume(town: &Town, machine: Option<&ObservedMachine>) -> bool {
    town.volume_id.is_some()
        && machine.is_some_and(|machine| machine.power == Power::On && machine.volume == town.volume_id)
}

async fn look_for_machine(provider: &Provider, app: &AppName, town: &Town) -> Result<Look, ProviderError> {
    if let Some(id) = &town.machine_id
        && let Some(there) = provider.machines.machine(app, id).await?
    {
        return Ok(Look::of(Seen::Present(there.power), true, Some(there)));
    }
    let named = provider.machines.machines_of(app, town.id).await?;
    let staying: Vec<_> = named.iter().filter(|machine| machine.power != Power::Destroying).collect();
    Ok(match (staying.as_slice(), named.first()) {
        ([], None) => Look::of(Seen::Absent, town.machine_id.is_none(), None),
        ([], Some(destroying)) => Look::of(Seen::Present(destroying.power), false, Some(destroying.clone())),
        ([one], _) => Look::of(Seen::Present(one.power), false, Some((*one).clone())),
        // Which of several is the town's is not ours to guess.
        ([_, _, ..], _) => Look::UNCLEAR,
    })
}

/// The volume, and where its data is if it was moved: on another volume of the town's name that its machine mounts.
async fn look_for_volume(
    provider: &Provider,
    app: &AppName,
    town: &Town,
    machine: Option<&ObservedMachine>,
) -> Result<(VolumeComparison, Option<ObservedVolume>), ProviderError> {
    // A town that has run has a volume; a row that names none is for a human.
    let Some(id) = &town.volume_id else { return Ok((VolumeComparison::Unknown, None)) };
    let mounted = machine.and_then(|machine| machine.volume.as_ref());
    let there = provider.volumes.volume(app, id).await?;
    match &there {
        Some(there) if !there.destroying => return Ok((VolumeComparison::There, None)),
        // What Fly has moved elsewhere stays here for some days.
        Some(_) if mounted.is_none_or(|mounted| mounted == id) => return Ok((VolumeComparison::Unknown, None)),
        Some(_) | None => {}
    }
    // The second, different read (FM-22).
    let named = provider.volumes.volumes_of(app, town.id).await?;
    if named.is_empty() && there.is_none() {
        return Ok((VolumeComparison::Gone, None));
    }
    let mounted = named.into_iter().find(|volume| mounted == Some(&volume.id) && !volume.destroying);
    // Its own id again: the list is older than the look before it.
    match mounted.filter(|mounted| mounted.id != *id) {
        Some(mounted) => Ok((VolumeComparison::Moved, Some(mounted))),
        None => Ok((VolumeComparison::Unsure, None)),
    }
}
