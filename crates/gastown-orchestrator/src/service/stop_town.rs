//! Stopping a town.

use gastown_domain::ports::{Caller, TownError, TownState};
use gastown_domain::{OperationKind, TownId};

use super::request::known;
use crate::completion_notifier::Until;
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_stop(&self, caller: Caller, town: TownId) -> Result<TownState, TownError> {
        let timeout = self.settings.policy.timeouts.stop;
        let operation = self.request(&caller, town, OperationKind::Stop, Some(timeout)).await?;
        match self.wait_for_result(&operation, OperationKind::Stop, Until::Ended).await {
            Ok(Some(town)) => Ok(town),
            // The call joined the undo of a failed start, which ends with the town stopped, as requested.
            Err(TownError::Failed { failure, .. })
                if operation.operation.cause.as_ref().map(known) == Some(failure) =>
            {
                self.living_state(town).await
            }
            Ok(None) => self.living_state(town).await,
            Err(error) => Err(error),
        }
    }
}
