//! Starting a town.

use gastown_domain::ports::{Caller, StartedTown, TownError};
use gastown_domain::{OperationKind, TownId};

use crate::completion_notifier::Until;
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_start(&self, caller: Caller, town: TownId) -> Result<StartedTown, TownError> {
        let timeout = self.settings.policy.timeouts.start;
        let operation = self.request(&caller, town, OperationKind::Start, Some(timeout)).await?;
        let idle_stop = operation.idle_stop;
        let town = match self.wait_for_result(&operation, OperationKind::Start, Until::Ended).await? {
            Some(town) => town,
            None => self.living_state(town).await?,
        };
        Ok(StartedTown { town, idle_stop })
    }
}
