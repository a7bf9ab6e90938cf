//! Reading a town.

use gastown_domain::ports::{TownError, TownReport};
use gastown_domain::{TownId, UserId};

use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn read_status(&self, caller: &UserId, town: TownId) -> Result<TownReport, TownError> {
        let store = &self.ports.store;
        // The owner's read comes first. Nothing else is read of another user's town.
        let row = self.living(caller, town).await?;
        Ok(TownReport {
            town: row,
            rigs: store.rigs.list(town).await?,
            health: store.registry.health(town).await?,
            operation: store.operations.current(town).await?,
        })
    }
}
