//! Reconciling a running sandbox's rigs with the table.

use std::error::Error;

use gastown_domain::ports::{SandboxAddress, SandboxError, StoreError, TownKeys};
use gastown_domain::{AppName, Branch, MachineId, Rig, RigCall, RigStatus, SandboxRig, Town, TownId, rigs_plan};

use crate::ports::Ports;
use crate::settings::Settings;

/// Returns the address of a town's sandbox, or `None` while the town has no machine.
pub(crate) fn address_of(settings: &Settings, keys: &dyn TownKeys, town: &Town) -> Option<SandboxAddress> {
    let app = settings.apps.app_of(&town.owner).ok()?;
    let machine = town.machine_id.as_ref()?;
    Some(address_of_machine(&app, keys, town.id, machine))
}

/// Returns the address of the sandbox on a machine.
pub(crate) fn address_of_machine(
    app: &AppName,
    keys: &dyn TownKeys,
    town: TownId,
    machine: &MachineId,
) -> SandboxAddress {
    SandboxAddress { app: app.clone(), machine: machine.clone(), town, keys: keys.keys_of(town) }
}

/// The result of reconciling a sandbox's rigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RigsOutcome {
    /// Every rig is as the table wants it.
    Complete,
    /// Some calls failed, or their result is not known. Try again later.
    Incomplete,
}

/// Makes the calls of the rigs' plan. A rig that fails stays as it is and is tried again later.
///
/// Errors: the registry's.
pub(crate) async fn reconcile_rigs(ports: &Ports, at: &SandboxAddress) -> Result<RigsOutcome, StoreError> {
    let desired = ports.store.rigs.list(at.town).await?;
    if desired.is_empty() {
        return Ok(RigsOutcome::Complete);
    }
    let present = match ports.provider.sandboxes.rigs(at).await {
        Ok(present) => present,
        Err(error) => {
            tracing::warn!(town.id = %at.town, error = &error as &dyn Error, "failed to list rigs");
            return Ok(RigsOutcome::Incomplete);
        }
    };
    let mut outcome = RigsOutcome::Complete;
    for call in rigs_plan(&desired, &present) {
        if make(ports, at, call).await? == RigsOutcome::Incomplete {
            outcome = RigsOutcome::Incomplete;
        }
    }
    Ok(outcome)
}

async fn make(ports: &Ports, at: &SandboxAddress, call: RigCall) -> Result<RigsOutcome, StoreError> {
    match call {
        RigCall::Add(rig) => add(ports, at, rig).await,
        RigCall::Remove(rig) => remove(ports, at, &rig).await,
        RigCall::Confirm(rig, branch) => confirm(ports, at, &rig, branch).await.map(|_| RigsOutcome::Complete),
        RigCall::Forget(rig) => forget(ports, &rig).await,
    }
}

async fn add(ports: &Ports, at: &SandboxAddress, rig: Rig) -> Result<RigsOutcome, StoreError> {
    match ports.provider.sandboxes.add_rig(at, &SandboxRig::from(&rig)).await {
        Ok(branch) => confirm(ports, at, &rig, branch).await.map(|_| RigsOutcome::Complete),
        // A rig that never existed is dropped, and its owner sees why. One that was active stays, and an operator sees it.
        Err(SandboxError::Refused { reason }) if rig.status == RigStatus::Pending => {
            tracing::warn!(town.id = %rig.town, rig.id = %rig.id, rig.name = %rig.name, reason, "sandbox refused rig");
            // Another process may have made it active; then it stays.
            ports.store.rigs.refuse(rig.town, rig.id, &reason).await.map(|_| RigsOutcome::Complete)
        }
        Err(error) => {
            let error: &dyn Error = &error;
            tracing::warn!(town.id = %rig.town, rig.id = %rig.id, error, "failed to add rig");
            Ok(RigsOutcome::Incomplete)
        }
    }
}

async fn remove(ports: &Ports, at: &SandboxAddress, rig: &Rig) -> Result<RigsOutcome, StoreError> {
    match ports.provider.sandboxes.remove_rig(at, &rig.name, false).await {
        Ok(()) => forget(ports, rig).await,
        // Its work would be lost, and no user is here to force it. The rig stays active, and the table shows it.
        Err(SandboxError::InTheWay { .. }) => {
            let kept = ports.store.rigs.set_status(rig.town, rig.id, RigStatus::Removing, RigStatus::Active).await;
            kept.map(|_| RigsOutcome::Complete)
        }
        Err(error) => {
            let error: &dyn Error = &error;
            tracing::warn!(town.id = %rig.town, rig.id = %rig.id, error, "failed to remove rig");
            Ok(RigsOutcome::Incomplete)
        }
    }
}

async fn forget(ports: &Ports, rig: &Rig) -> Result<RigsOutcome, StoreError> {
    ports.store.rigs.remove(rig.town, rig.id, RigStatus::Removing).await.map(|_| RigsOutcome::Complete)
}

/// Records that the sandbox has a rig on this branch, and returns its row. If the row is gone, the rig was removed during its clone. Then it
/// is removed from the sandbox too, unless another rig has its name.
pub(crate) async fn confirm(
    ports: &Ports,
    at: &SandboxAddress,
    rig: &Rig,
    branch: Option<Branch>,
) -> Result<Option<Rig>, StoreError> {
    let rigs = &ports.store.rigs;
    rigs.confirm(rig.town, rig.id, branch).await?;
    let rows = rigs.list(rig.town).await?;
    let row = rows.iter().find(|row| row.id == rig.id).cloned();
    if row.is_none()
        && !rows.iter().any(|row| row.name.folded() == rig.name.folded())
        && let Err(error) = ports.provider.sandboxes.remove_rig(at, &rig.name, false).await
    {
        let error: &dyn Error = &error;
        tracing::warn!(town.id = %rig.town, rig.id = %rig.id, error, "failed to remove rig that was deleted during its clone");
    }
    Ok(row)
}
