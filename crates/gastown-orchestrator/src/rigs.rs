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
pub(crate) enum RigsOutcome {
    /// Every call was made and answered for good.
    Complete,
    /// Some could not be made, or their end is not known: again, later.
    Incomplete,
}

/// Makes the calls of the rigs' plan. A rig that cannot be settled now stays as it is and is tried again later; only the
/// registry's errors end the pass.
pub(crate) async fn reconcile_rigs(ports: &Ports, at: &SandboxAddress) -> Result<RigsOutcome, StoreError> {
    let desired = ports.store.rigs.list(at.town).await?;
    if desired.is_empty() {
        return Ok(RigsOutcome::Complete);
    }
    let present = match ports.provider.sandboxes.rigs(at).await {
        Ok(present) => present,
        Err(error) => {
            tracing::warn!(town.id = %at.town, error = &error as &dyn std::error::Error, "rigs cannot be listed now");
            return Ok(RigsOutcome::Incomplete);
        }
    };
    let mut settled = RigsOutcome::Complete;
    for call in rigs_plan(&desired, &present) {
        if make(ports, at, call).await? == RigsOutcome::Incomplete {
            settled = RigsOutcome::Incomplete;
        }
    }
    Ok(settled)
}

async fn make(ports: &Ports, at: &SandboxAddress, call: RigCall) -> Result<RigsOutcome, StoreError> {
    let (rigs, sandboxes) = (&ports.store.rigs, &ports.provider.sandboxes);
    match call {
        RigCall::Add(rig) => {
            match sandboxes.add_rig(at, &SandboxRig::from(&rig)).await {
                Ok(()) => confirm(ports, at, &rig).await.map(|_| RigsOutcome::Complete),
                // Refused for good: a rig that never was is not kept; one that was stays to be seen to.
                Err(SandboxError::Refused { reason }) if rig.status == RigStatus::Pending => {
                    tracing::warn!(town.id = %rig.town, rig.id = %rig.id, reason, "the sandbox refuses the rig");
                    // Whoever made it active meanwhile knows better.
                    rigs.remove(rig.town, rig.id, RigStatus::Pending).await.map(|_| RigsOutcome::Complete)
                }
                Err(error) => {
                    tracing::warn!(
                        town.id = %rig.town,
                        rig.id = %rig.id,
                        error = &error as &dyn std::error::Error,
                        "rig is not settled"
                    );
                    Ok(RigsOutcome::Incomplete)
                }
            }
        }
        RigCall::Remove(rig) => match sandboxes.remove_rig(at, &rig.name, false).await {
            Ok(()) => rigs.remove(rig.town, rig.id, RigStatus::Removing).await.map(|_| RigsOutcome::Complete),
            // Work would be lost and nobody is there to say "force": it stays, and the table says so.
            Err(SandboxError::InTheWay { .. }) => rigs
                .set_status(rig.town, rig.id, RigStatus::Removing, RigStatus::Active)
                .await
                .map(|_| RigsOutcome::Complete),
            Err(error) => {
                tracing::warn!(
                    town.id = %rig.town,
                    rig.id = %rig.id,
                    error = &error as &dyn std::error::Error,
                    "rig is not removed"
                );
                Ok(RigsOutcome::Incomplete)
            }
        },
        RigCall::Confirm(rig) => confirm(ports, at, &rig).await.map(|_| RigsOutcome::Complete),
        RigCall::Forget(rig) => rigs.remove(rig.town, rig.id, RigStatus::Removing).await.map(|_| RigsOutcome::Complete),
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
        && let Err(error) = ports.provider.sandboxes.remove_rig(at, &rig.name, false).await
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
