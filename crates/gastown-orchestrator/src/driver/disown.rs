//! Giving back what was made under a claim that was lost.

use gastown_domain::ports::{BoxError, TownChange};
use gastown_domain::{AppName, TownId};
use tokio::time::sleep;

use super::Reconciler;

/// So often it is tried; what is left even then, the orphan sweeper finds.
const TRIES: u32 = 5;

impl Reconciler {
    /// What no row will name goes at once: all of it where the town is a tombstone by now; a volume also where the town has
    /// another one, for names of volumes are not unique (FM-49). What a living town lacks, its new driver finds by name.
    pub(super) async fn disown(&self, app: &AppName, town: TownId, made: &TownChange) {
        let policy = &self.settings.policy;
        for attempt in 1..=TRIES {
            let Err(error) = self.give_back(app, town, made).await else { return };
            if attempt == TRIES {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::error!(machine.id = ?made.machine, volume.id = ?made.volume, error, "orphan made by a lost claim");
                return;
            }
            sleep(policy.backoff.delay(attempt, self.ports.env.jitter.fraction())).await;
        }
    }

    async fn give_back(&self, app: &AppName, town: TownId, made: &TownChange) -> Result<(), BoxError> {
        let provider = &self.ports.provider;
        let Some(row) = self.ports.store.registry.load(town).await? else { return Ok(()) };
        if let Some(Some(machine)) = &made.machine
            && row.is_tombstone()
        {
            provider.machines.delete_machine(app, machine).await?;
        }
        let has_another = |made| row.volume_id.as_ref().is_some_and(|named| named != made);
        if let Some(Some(volume)) = &made.volume
            && (row.is_tombstone() || has_another(volume))
        {
            provider.volumes.delete_volume(app, volume).await?;
        }
        Ok(())
    }
}
