//! Reading a town.

use gastown_domain::TownId;
use gastown_domain::ports::{Caller, TownError, TownReport};

use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn read_status(&self, caller: &Caller, town: TownId) -> Result<TownReport, TownError> {
        self.ports.store.registry.report(caller, town).await?.ok_or(TownError::NotFound)
    }
}
