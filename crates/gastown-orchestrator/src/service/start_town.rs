//! Starting a town.

use gastown_domain::ports::{Caller, TownError};
use gastown_domain::{OperationKind, Town, TownId};

use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_start(&self, caller: Caller, town: TownId) -> Result<Town, TownError> {
        let caller = self.authorized(caller).await?;
        let timeout = self.settings.policy.timeouts.start;
        let operation = self.request(&caller, town, OperationKind::Start, Some(timeout)).await?;
        self.wait_for_result(operation.id, OperationKind::Start).await?;
        self.living(&caller, town).await
    }
}
