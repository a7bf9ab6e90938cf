//! The operations that users request, one file each: check, write the operation, nudge the reconciler, wait for the result.

mod create_town;
mod destroy_town;
mod read;
mod request;
mod restart_town;
mod restore_town;
mod rigs;
mod start_town;
mod stop_idle_town;
mod stop_town;
mod town_use;
mod update_town;

use std::future::Future;
use std::num::NonZeroU32;

use gastown_domain::ports::{Caller, StoreError, TownError, TownState};
use gastown_domain::{TownId, UserId};

pub use self::restart_town::RestartSync;

use crate::town_service::TownService;

impl TownService {
    /// Returns the user of an authorized caller. Each request that changes something starts with it.
    pub(crate) async fn authorized(&self, caller: Caller) -> Result<UserId, TownError> {
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

    /// Counts a change. Call it once the caller is authorized. A destroy does not count, because it must always be accepted,
    /// and each needs a create.
    fn admit_change(&self, caller: &UserId) -> Result<(), TownError> {
        self.admit_changes(caller, NonZeroU32::MIN)
    }

    /// Counts the changes of one request: a town and each of its first rigs.
    fn admit_changes(&self, caller: &UserId, changes: NonZeroU32) -> Result<(), TownError> {
        let limit = self.settings.policy.limits.changes_per_minute.get();
        let admitted = self.changes.admit_several(caller, changes);
        admitted.map_err(|retry_after| TownError::TooManyChanges { limit, retry_after })
    }

    /// Returns the town of a request that was authorized, live or tombstone, with its operation in flight.
    ///
    /// The operation is read first. If it ends in between, the caller sees it once more, and not a town that seems done.
    async fn state_of(&self, town: TownId) -> Result<TownState, TownError> {
        let operation = self.ports.store.operations.current(town).await?;
        let town = self.ports.store.registry.load(town).await?.ok_or(TownError::NotFound)?;
        Ok(TownState { town, operation })
    }

    /// Returns the living town of a request that was authorized, with its operation in flight.
    async fn living_state(&self, town: TownId) -> Result<TownState, TownError> {
        let state = self.state_of(town).await?;
        if state.town.is_tombstone() { Err(TownError::NotFound) } else { Ok(state) }
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
