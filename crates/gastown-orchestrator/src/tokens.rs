//! Gateway tokens, minted from the row each time: for a machine that is made or refreshed, and for a sandbox that asks.

use gastown_domain::ports::{GatewayGrant, GatewayToken, StoreError};
use gastown_domain::{Failure, Town};

use crate::ports::Ports;

/// A secret of a town could not be prepared.
#[derive(Debug)]
pub(crate) enum SecretError {
    /// The registry failed; the operation goes on later.
    Store(StoreError),
    /// Another cause; the failure is what the caller is told.
    Failed(Failure),
}

/// A fresh token for a town's sandbox, with its owner's pepper as it is now (FM-38).
pub(crate) async fn gateway_token(ports: &Ports, town: &Town) -> Result<GatewayToken, SecretError> {
    let owner = ports.store.users.user(&town.owner).await.map_err(SecretError::Store)?;
    let owner = owner.ok_or(SecretError::Failed(Failure::OwnerUnknown))?;
    let grant = GatewayGrant { user: town.owner.clone(), town: town.id, organization: None, pepper: owner.pepper };
    ports.keys.mint.mint(&grant).map_err(|error| {
        tracing::error!(town.id = %town.id, error = &error as &dyn std::error::Error, "token could not be minted");
        SecretError::Failed(Failure::SecretsUnavailable)
    })
}
