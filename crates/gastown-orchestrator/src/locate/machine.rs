//! Locating a town's machine.

use gastown_domain::ports::{Machines, ObservedMachine, ObservedVolume, ProviderError};
use gastown_domain::{AppName, Power, Town};

/// Fetches the machine that the town's row records. `None` when the row records none or the machine is absent.
pub(crate) async fn recorded(
    machines: &dyn Machines,
    app: &AppName,
    town: &Town,
) -> Result<Option<ObservedMachine>, ProviderError> {
    match &town.machine_id {
        Some(id) => machines.machine(app, id).await,
        None => Ok(None),
    }
}

/// Fetches the machines with the town's name or metadata, best first. An empty list alone proves nothing (FM-32).
///
/// There is one, unless another was created by hand. The tie rule prefers a machine that stays, then one that mounts the
/// town's volume.
pub(crate) async fn named(
    machines: &dyn Machines,
    app: &AppName,
    town: &Town,
) -> Result<Vec<ObservedMachine>, ProviderError> {
    let mut named = machines.machines_of(app, town.id).await?;
    let mounts_the_volume = |machine: &ObservedMachine| machine.volume.is_some() && machine.volume == town.volume_id;
    named.sort_by_key(|machine| (machine.power == Power::Destroying, !mounts_the_volume(machine)));
    Ok(named)
}

/// Fetches the machine that mounts this volume, though neither its id nor its name led to it (FM-13). A volume stays
/// attached for some time to a machine that is gone.
pub(crate) async fn holder(
    machines: &dyn Machines,
    app: &AppName,
    volume: &ObservedVolume,
) -> Result<Option<ObservedMachine>, ProviderError> {
    let Some(holder) = &volume.bound_to else { return Ok(None) };
    let machine = machines.machine(app, holder).await?;
    Ok(machine.filter(|machine| machine.volume.as_ref() == Some(&volume.id)))
}
