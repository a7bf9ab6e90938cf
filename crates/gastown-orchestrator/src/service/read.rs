//! Reading a town.

use gastown_domain::ports::{Caller, TownError, TownReport};
use gastown_domain::{Rig, RigId, TownId};

use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn read_status(&self, caller: &Caller, town: TownId) -> Result<TownReport, TownError> {
        self.ports.store.registry.report(caller, town).await?.ok_or(TownError::NotFound)
    }

    pub(crate) async fn read_rig(&self, caller: &Caller, town: TownId, rig: RigId) -> Result<Rig, TownError> {
        let caller = self.authorized(caller.clone()).await?;
        self.living(&caller, town).await?;
        self.ports.store.rigs.find(town, rig).await?.ok_or(TownError::RigNotFound)
    }
}
