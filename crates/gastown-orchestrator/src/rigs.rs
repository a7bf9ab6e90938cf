//! Bringing a running sandbox's rigs in line with the table.

use gastown_domain::ports::{SandboxAddress, SandboxError, StoreError, TownKeys};
use gastown_domain::{Rig, RigCall, RigStatus, SandboxRig, Town, rigs_plan};

use crate::ports::Ports;
use crate::settings::Settings;

/// Where a town's sandbox is; `None` while it has no machine.
pub(crate) fn address_of(settings: &Settings, keys: &dyn TownKeys, town: &Town) -> Option<SandboxAddress> {
    let app = settings.apps.app_of(&town.owner).ok()?;
    let machine = town.machine_id.clone()?;
    Some(SandboxAddress { app, machine, town: town.id, keys: keys.keys_of(town.id) })
}

/// What settling a sandbox's rigs came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Every call was made and answered for good.
    All,
    /// Some could not be made, or their end is not known: again, later.
    NotAll,
}

/// Makes the calls of the rigs' plan. A rig that cannot be settled now stays as it is and is tried again later; only the
/// registry's errors end the pass.
pub(crate) async fn settle_rigs(ports: &Ports, at: &SandboxAddress) -> Result<Settled, StoreError> {
    let desired = ports.store.rigs.list(at.town).await?;
    if desired.is_empty() {
        return Ok(Settled::All);
    }
    let present = match ports.outside.sandboxes.rigs(at).await {
        Ok(present) => present,
        Err(error) => {
            tracing::warn!(town.id = %at.town, error = &error as &dyn std::error::Error, "rigs cannot be listed now");
            return Ok(Settled::NotAll);
        }
    };
    let mut settled = Settled::All;
    for call in rigs_plan(&desired, &present) {
        if make(ports, at, call).await? == Settled::NotAll {
            settled = Settled::NotAll;
        }
    }
    Ok(settled)
}

async fn make(ports: &Ports, at: &SandboxAddress, call: RigCall) -> Result<Settled, StoreError> {
    let (rigs, sandboxes) = (&ports.store.rigs, &ports.outside.sandboxes);
    match call {
        RigCall::Add(rig) => {
            match sandboxes.add_rig(at, &SandboxRig::from(&rig)).await {
                Ok(()) => confirm(ports, at, &rig).await.map(|_| Settled::All),
                // Refused for good: a rig that never was is not kept; one that was stays to be seen to.
                Err(SandboxError::Refused { reason }) if rig.status == RigStatus::Pending => {
                    tracing::warn!(town.id = %rig.town, rig.id = %rig.id, reason, "the sandbox refuses the rig");
                    // Whoever made it active meanwhile knows better.
                    rigs.remove(rig.town, rig.id, RigStatus::Pending).await.map(|_| Settled::All)
                }
                Err(error) => {
                    tracing::warn!(
                        town.id = %rig.town,
                        rig.id = %rig.id,
                        error = &error as &dyn std::error::Error,
                        "rig is not settled"
                    );
                    Ok(Settled::NotAll)
                }
            }
        }
        RigCall::Remove(rig) => match sandboxes.remove_rig(at, &rig.name, false).await {
            Ok(()) => rigs.remove(rig.town, rig.id, RigStatus::Removing).await.map(|_| Settled::All),
            // Work would be lost and nobody is there to say "force": it stays, and the table says so.
            Err(SandboxError::InTheWay { .. }) => {
                rigs.set_status(rig.town, rig.id, RigStatus::Removing, RigStatus::Active).await.map(|_| Settled::All)
            }
            Err(error) => {
                tracing::warn!(
                    town.id = %rig.town,
                    rig.id = %rig.id,
                    error = &error as &dyn std::error::Error,
                    "rig is not removed"
                );
                Ok(Settled::NotAll)
            }
        },
        RigCall::Confirm(rig) => confirm(ports, at, &rig).await.map(|_| Settled::All),
        RigCall::Forget(rig) => rigs.remove(rig.town, rig.id, RigStatus::Removing).await.map(|_| Settled::All),
    }
}

/// Records that the sandbox has a rig, and answers the row as it stands. Where the row is gone, the rig was removed while
/// it was being cloned: it goes from the sandbox too, unless its name is another rig's by now.
pub(crate) async fn confirm(ports: &Ports, at: &SandboxAddress, rig: &Rig) -> Result<Option<Rig>, StoreError> {
    let rigs = &ports.store.rigs;
    rigs.set_status(rig.town, rig.id, RigStatus::Pending, RigStatus::Active).await?;
    let rows = rigs.list(rig.town).await?;
    let row = rows.iter().find(|row| row.id == rig.id).cloned();
    if row.is_none()
        && !rows.iter().any(|row| row.name.folded() == rig.name.folded())
        && let Err(error) = ports.outside.sandboxes.remove_rig(at, &rig.name, false).await
    {
        tracing::warn!(
            town.id = %rig.town,
            rig.id = %rig.id,
            error = &error as &dyn std::error::Error,
            "a removed rig is left in the sandbox"
        );
    }
    Ok(row)
}
