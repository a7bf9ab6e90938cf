//! Gateway tokens, minted from the row each time: for a new or updated machine, and for a sandbox that refreshes its own.

use gastown_domain::ports::{GatewayGrant, GatewayToken, StoreError};
use gastown_domain::{Failure, Town};

use crate::ports::Ports;

/// The reason why a secret of a town could not be prepared.
#[derive(Debug)]
pub(crate) enum SecretError {
    /// The registry failed. The operation goes on later.
    Store(StoreError),
    /// Another cause, as the caller reads it.
    Failed(Failure),
}

/// Mints a token for a town's sandbox, with its owner's present pepper (FM-38). A blocked owner gets none (FM-17).
pub(crate) async fn gateway_token(ports: &Ports, town: &Town) -> Result<GatewayToken, SecretError> {
    let owner = ports.store.users.user(&town.owner).await.map_err(SecretError::Store)?;
    let owner = owner.ok_or(SecretError::Failed(Failure::OwnerUnknown))?;
    if owner.is_blocked {
        return Err(SecretError::Failed(Failure::OwnerBlocked));
    }
    let grant = GatewayGrant { user: town.owner.clone(), town: town.id, organization: None, pepper: owner.pepper };
    ports.secrets.mint.mint(&grant).map_err(|error| {
        tracing::error!(town.id = %town.id, error = &error as &dyn std::error::Error, "failed to mint token");
        SecretError::Failed(Failure::SecretsUnavailable)
    })
}
