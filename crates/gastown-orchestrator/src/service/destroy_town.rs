//! Destroying a town. A destroy has no deadline: it goes on until the provider confirms that nothing is left.

use gastown_domain::ports::{Caller, TownError};
use gastown_domain::{OperationKind, Town, TownId};

use crate::completion_notifier::Until;
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_destroy(&self, caller: Caller, town: TownId) -> Result<Town, TownError> {
        let caller = self.authorized(caller).await?;
        let operation = self.request(&caller, town, OperationKind::Destroy, None).await?;
        match self.wait_for_result(&operation, OperationKind::Destroy, Until::Ended).await {
            Ok(Some(town)) => return Ok(town),
            // The call may have joined a roll back, which ends with nothing left, as requested.
            Ok(None) | Err(TownError::Failed { .. }) => {}
            Err(error) => return Err(error),
        }
        self.ports.store.registry.load(town).await?.ok_or(TownError::NotFound)
    }
}
