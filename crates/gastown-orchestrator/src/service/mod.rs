//! The operations that users request, one file each: check, write the operation, nudge the reconciler, wait for the result.

mod create_town;
mod destroy_town;
mod read;
mod request;
mod rigs;
mod start_town;
mod stop_town;

use std::future::Future;

use gastown_domain::ports::{Caller, StoreError, TownError};
use gastown_domain::{Town, TownId, UserId};

use crate::town_service::TownService;

impl TownService {
    /// Returns the user of an authorized caller. Each request that changes something starts with it.
    async fn authorized(&self, caller: Caller) -> Result<UserId, TownError> {
        match caller {
            Caller::Trusted(user) => Ok(user),
            Caller::Token(_) => {
                let user = self.ports.store.users.user(caller.user()).await?.ok_or(TownError::Unauthorized)?;
                if caller.is_authorized(user.pepper.as_ref()) { Ok(user.id) } else { Err(TownError::Unauthorized) }
            }
        }
    }

    /// Returns the user of an authorized caller who is not blocked.
    async fn allowed(&self, caller: Caller) -> Result<UserId, TownError> {
        match self.ports.store.users.user(caller.user()).await? {
            Some(user) if !caller.is_authorized(user.pepper.as_ref()) => Err(TownError::Unauthorized),
            Some(user) if user.is_blocked => Err(TownError::Blocked),
            Some(user) => Ok(user.id),
            None => self.authorized(caller).await,
        }
    }

    /// Returns the caller's living town. Another user's town does not exist for the caller.
    async fn living(&self, caller: &UserId, town: TownId) -> Result<Town, TownError> {
        self.ports.store.registry.find(caller, town).await?.ok_or(TownError::NotFound)
    }
}

/// Returns what was written when the answer to a write is lost. The commit may have happened, and a read by our own id tells
/// (FM-46). If the read fails too, the caller gets the registry's error, and the workers find the operation if it was
/// written.
async fn unless_written<T>(
    written: Result<T, StoreError>,
    read: impl Future<Output = Result<Option<T>, StoreError>>,
) -> Result<T, StoreError> {
    match written {
        Err(error @ StoreError::Unavailable { .. }) => match read.await {
            Ok(Some(found)) => Ok(found),
            Ok(None) | Err(_) => Err(error),
        },
        known => known,
    }
}
