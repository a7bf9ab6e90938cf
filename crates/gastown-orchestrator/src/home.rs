//! What sandboxes call home for.

use async_trait::async_trait;
use gastown_domain::ports::{GatewayGrant, GatewayToken, HomeCalls, HomeError};
use gastown_domain::{Failure, TownId};
use secrecy::SecretString;

use crate::town_service::TownService;

#[async_trait]
impl HomeCalls for TownService {
    async fn heartbeat(&self, town: TownId, key: SecretString) -> Result<(), HomeError> {
        self.authorize(town, &key)?;
        let at = self.ports.chance.clock.now();
        match self.ports.store.registry.heartbeat(town, at).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(HomeError::Unauthorized),
            Err(error) => Err(HomeError::Store(error)),
        }
    }

    async fn refresh_token(&self, town: TownId, key: SecretString) -> Result<GatewayToken, HomeError> {
        self.authorize(town, &key)?;
        let row = self.ports.store.registry.load(town).await.map_err(HomeError::Store)?;
        let row = row.filter(|row| !row.is_tombstone()).ok_or(HomeError::Unauthorized)?;
        let user = self.ports.store.users.user(&row.owner).await.map_err(HomeError::Store)?;
        let user = user.ok_or(HomeError::NoToken(Failure::OwnerUnknown))?;
        let grant = GatewayGrant { user: row.owner, town, organization: None, pepper: user.pepper };
        self.ports.keys.mint.mint(&grant).map_err(|error| {
            tracing::error!(town.id = %town, error = &error as &dyn std::error::Error, "token could not be minted");
            HomeError::NoToken(Failure::SecretsUnavailable)
        })
    }
}

impl TownService {
    fn authorize(&self, town: TownId, key: &SecretString) -> Result<(), HomeError> {
        if self.ports.keys.towns.verify(town, key) { Ok(()) } else { Err(HomeError::Unauthorized) }
    }
}
