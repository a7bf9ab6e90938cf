//! Changing the configuration of a town. One transaction of the registry compares and changes.

use gastown_domain::ports::{Caller, ConfigUpdated, TownError, TownState, UpdateTown};

use super::unless_written;
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_update(&self, caller: Caller, request: UpdateTown) -> Result<TownState, TownError> {
        let caller = self.allowed(caller).await?;
        self.admit_change(&caller)?;
        let update = || self.ports.store.registry.update_config(&caller, &request);
        // A repeat of a change that was made has no effect, and succeeds.
        let again = async { update().await.map(Some) };
        match unless_written(update().await, again).await? {
            ConfigUpdated::Done(town) => {
                tracing::info!(town.id = %town.town.id, "configuration updated");
                self.record_use(&town.town, false).await;
                Ok(*town)
            }
            ConfigUpdated::Changed => Err(TownError::ConfigChanged),
            ConfigUpdated::Refused(refusal) => Err(TownError::ConfigRefused(refusal)),
            ConfigUpdated::Busy(kind) => Err(TownError::InFlight { kind }),
            ConfigUpdated::NotFound => Err(TownError::NotFound),
        }
    }
}
