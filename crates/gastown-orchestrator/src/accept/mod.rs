//! How requests are accepted: check, write the town's operation down, nudge the driver, wait for the end.

mod create;
mod lifecycle;
mod read;
mod rigs;

pub(crate) use lifecycle::NEVER;

use std::future::Future;

use gastown_domain::ports::{StoreError, TownError};
use gastown_domain::{Town, TownId, UserId};

use crate::town_service::TownService;

impl TownService {
    /// The caller's living town: what belongs to another user does not exist.
    async fn living(&self, caller: &UserId, town: TownId) -> Result<Town, TownError> {
        self.ports.store.registry.find(caller, town).await?.ok_or(TownError::NotFound)
    }
}

/// What was written, where the answer to a write got lost: a failed commit may have happened, and the ids are ours, so a
/// look tells (FM-46). Where the look fails too, the caller is told that the registry is not available; if it was written
/// all the same, the workers find it.
async fn unless_written<T>(
    written: Result<T, StoreError>,
    look: impl Future<Output = Result<Option<T>, StoreError>>,
) -> Result<T, StoreError> {
    match written {
        Err(error @ StoreError::Unavailable { .. }) => match look.await {
            Ok(Some(found)) => Ok(found),
            Ok(None) | Err(_) => Err(error),
        },
        known => known,
    }
}
