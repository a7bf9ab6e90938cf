//! Cleaning up what was created under a claim that was lost meanwhile.

use gastown_domain::ports::{BoxError, TownChange};
use gastown_domain::{AppName, Operation, OperationKind};
use tokio::time::sleep;

use crate::ports::Ports;
use crate::settings::Policy;

/// Attempts. The orphan sweeper finds what is left after them.
const ATTEMPTS: u32 = 5;

/// Deletes resources that no row will reference: all of them if the town is a tombstone. A volume is deleted also if the town
/// has another one, because names of volumes are not unique (FM-49). What a living town lacks, its new process finds by name.
/// A town that has only the volume that its restore replaces lacks one while the restore is in flight.
pub(super) async fn clean_up(
    ports: &Ports,
    policy: &Policy,
    app: &AppName,
    operation: &Operation,
    created: &TownChange,
) {
    for attempt in 1..=ATTEMPTS {
        let Err(error) = delete_unreferenced(ports, app, operation, created).await else { return };
        if attempt == ATTEMPTS {
            let error: &dyn std::error::Error = error.as_ref();
            tracing::error!(
                machine.id = ?created.machine,
                volume.id = ?created.volume,
                error,
                "failed to clean up after a lost claim"
            );
            return;
        }
        sleep(policy.backoff.retry.delay(attempt, ports.env.jitter.fraction())).await;
    }
}

async fn delete_unreferenced(
    ports: &Ports,
    app: &AppName,
    operation: &Operation,
    created: &TownChange,
) -> Result<(), BoxError> {
    let Some(row) = ports.store.registry.load(operation.town).await? else { return Ok(()) };
    if let Some(Some(machine)) = &created.machine
        && row.is_tombstone()
    {
        let _answer = ports.provider.machines.delete_machine(app, machine).await?;
    }
    let has_another = |created| row.volume_id.as_ref().is_some_and(|recorded| recorded != created);
    let lost = operation.progress.lost_volume.as_ref();
    if lost.is_some() && row.volume_id.as_ref() == lost && is_being_restored(ports, operation).await? {
        return Ok(());
    }
    if let Some(Some(volume)) = &created.volume
        && (row.is_tombstone() || has_another(volume))
    {
        let _answer = ports.provider.volumes.delete_volume(app, volume).await?;
    }
    Ok(())
}

/// Returns true if the town's restore is in flight, in any process.
async fn is_being_restored(ports: &Ports, operation: &Operation) -> Result<bool, BoxError> {
    let current = ports.store.operations.current(operation.town).await?;
    Ok(current.is_some_and(|current| current.kind == OperationKind::Restore))
}
