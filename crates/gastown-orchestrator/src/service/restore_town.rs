//! Restoring a town whose volume is lost, by its owner's word only.

use gastown_domain::OperationKind;
use gastown_domain::ports::{Caller, RestoreRefusal, RestoreTown, RestoredTown, TownError, TownState};

use crate::completion_notifier::Until;
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_restore(&self, caller: Caller, request: RestoreTown) -> Result<RestoredTown, TownError> {
        let RestoreTown { town, confirm } = request;
        let found = self.ports.store.registry.callers_town(&caller, town).await?;
        let TownState { town: before, operation } =
            found.filter(|found| !found.state.town.is_tombstone()).ok_or(TownError::NotFound)?.state;
        if confirm != before.name {
            return Err(TownError::NotConfirmed);
        }
        // The restore in flight knows the time of the data that it has found.
        let in_flight = operation.and_then(|operation| operation.progress.saved_at);
        let saved_at =
            in_flight.or(before.last_r2_sync_at).ok_or(TownError::NotRestorable(RestoreRefusal::NeverSaved))?;
        let timeout = self.settings.policy.timeouts.restore;
        let operation = self.request(&caller, town, OperationKind::Restore, Some(timeout)).await?;
        let town = match self.wait_for_result(&operation, OperationKind::Restore, Until::Ended).await? {
            Some(town) => town,
            None => self.living_state(town).await?,
        };
        Ok(RestoredTown { town, saved_at })
    }
}
