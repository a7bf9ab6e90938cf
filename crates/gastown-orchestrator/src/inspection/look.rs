//! One look at a settled town: its machine and volume by the ids of its row, by name only where those are gone.

use gastown_domain::ports::{MachineSighting, ProviderError, VolumeSighting};
use gastown_domain::{AppName, Comparison, MachineLook, Power, Seen, Town, VolumeLook, compare};

use crate::ports::Outside;

/// What was seen of a town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// Its machine.
    pub(super) machine: MachineLook,
    /// Its volume; looked at only where the machine alone does not decide.
    pub(super) volume: VolumeLook,
    /// The machine that is there.
    pub(super) found: Option<MachineSighting>,
    /// Where the data is, if not where the row says.
    pub(super) moved_to: Option<VolumeSighting>,
}

impl Look {
    /// Nothing could be seen.
    pub(super) const UNCLEAR: Self = Self::of(Seen::Unclear, true, None);

    const fn of(seen: Seen<Power>, is_the_rows: bool, found: Option<MachineSighting>) -> Self {
        let machine = MachineLook { seen, is_the_rows };
        Self { machine, volume: VolumeLook::Unclear, found, moved_to: None }
    }
}

/// Looks at a town, whose volume may have been seen in its app's list already.
///
/// Errors: any call's; what a part of a look shows is not enough to go by.
pub(super) async fn look(
    outside: &Outside,
    app: &AppName,
    town: &Town,
    volume_is_listed: bool,
) -> Result<Look, ProviderError> {
    let mut look = look_for_machine(outside, app, town).await?;
    let volume_decides = compare(town.status, look.machine, VolumeLook::There) == Comparison::Agrees;
    if volume_decides && (volume_is_listed || is_running_on_its_volume(town, look.found.as_ref())) {
        look.volume = VolumeLook::There;
    } else if volume_decides {
        (look.volume, look.moved_to) = look_for_volume(outside, app, town, look.found.as_ref()).await?;
    }
    Ok(look)
}

/// Fly deletes no volume under a machine that runs on it, and a host that loses one stops the machine.
fn is_running_on_its_volume(town: &Town, machine: Option<&MachineSighting>) -> bool {
    town.volume_id.is_some()
        && machine.is_some_and(|machine| machine.power == Power::On && machine.volume == town.volume_id)
}

async fn look_for_machine(outside: &Outside, app: &AppName, town: &Town) -> Result<Look, ProviderError> {
    if let Some(id) = &town.machine_id
        && let Some(there) = outside.machines.machine(app, id).await?
    {
        return Ok(Look::of(Seen::Present(there.power), true, Some(there)));
    }
    let named = outside.machines.machines_of(app, town.id).await?;
    let staying: Vec<_> = named.iter().filter(|machine| machine.power != Power::Leaving).collect();
    Ok(match (staying.as_slice(), named.first()) {
        ([], None) => Look::of(Seen::Absent, town.machine_id.is_none(), None),
        ([], Some(leaving)) => Look::of(Seen::Present(leaving.power), false, Some(leaving.clone())),
        ([one], _) => Look::of(Seen::Present(one.power), false, Some((*one).clone())),
        // Which of several is the town's is not ours to guess.
        ([_, _, ..], _) => Look::UNCLEAR,
    })
}

/// The volume, and where its data is if it was moved: on another volume of the town's name that its machine mounts.
async fn look_for_volume(
    outside: &Outside,
    app: &AppName,
    town: &Town,
    machine: Option<&MachineSighting>,
) -> Result<(VolumeLook, Option<VolumeSighting>), ProviderError> {
    // A town that has run has a volume; a row that names none is for a human.
    let Some(id) = &town.volume_id else { return Ok((VolumeLook::Unclear, None)) };
    let mounted = machine.and_then(|machine| machine.volume.as_ref());
    let there = outside.volumes.volume(app, id).await?;
    match &there {
        Some(there) if !there.leaving => return Ok((VolumeLook::There, None)),
        // What Fly has moved elsewhere stays here for some days.
        Some(_) if mounted.is_none_or(|mounted| mounted == id) => return Ok((VolumeLook::Unclear, None)),
        Some(_) | None => {}
    }
    // The second, different read (FM-22).
    let named = outside.volumes.volumes_of(app, town.id).await?;
    if named.is_empty() && there.is_none() {
        return Ok((VolumeLook::Gone, None));
    }
    let mounted = named.into_iter().find(|volume| mounted == Some(&volume.id) && !volume.leaving);
    // Its own id again: the list is older than the look before it.
    match mounted.filter(|mounted| mounted.id != *id) {
        Some(mounted) => Ok((VolumeLook::Moved, Some(mounted))),
        None => Ok((VolumeLook::Unsure, None)),
    }
}
