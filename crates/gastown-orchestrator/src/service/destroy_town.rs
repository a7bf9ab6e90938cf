//! Destroying a town. A destroy has no deadline: it goes on until the provider confirms that nothing is left.

use gastown_domain::OperationKind;
use gastown_domain::ports::{Caller, DestroyTown, TownError, TownState};

use crate::completion_notifier::Until;
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_destroy(&self, caller: Caller, request: DestroyTown) -> Result<TownState, TownError> {
        let DestroyTown { town, wait_until_gone } = request;
        let until = if wait_until_gone { Until::Ended } else { Until::RemovalCertain };
        let operation = self.request(&caller, town, OperationKind::Destroy, None).await?;
        match self.wait_for_result(&operation, OperationKind::Destroy, until).await {
            Ok(Some(town)) => return Ok(town),
            // The call may have joined a roll back, which ends with nothing left, as requested.
            Ok(None) | Err(TownError::Failed { .. }) => {}
            Err(error) => return Err(error),
        }
        self.state_of(town).await
    }
}
