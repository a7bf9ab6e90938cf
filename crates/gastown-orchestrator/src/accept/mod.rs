//! How requests are accepted: check, write the town's operation down, nudge the driver, wait for the end.

mod create;
mod lifecycle;
mod read;
mod rigs;

pub(crate) use lifecycle::NEVER;

use gastown_domain::ports::TownError;
use gastown_domain::{Town, TownId, UserId};

use crate::town_service::TownService;

impl TownService {
    /// The caller's living town: what belongs to another user does not exist.
    async fn living(&self, caller: &UserId, town: TownId) -> Result<Town, TownError> {
        self.ports.store.registry.find(caller, town).await?.ok_or(TownError::NotFound)
    }
}
