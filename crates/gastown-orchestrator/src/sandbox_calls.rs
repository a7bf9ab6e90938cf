//! The calls of sandboxes: heartbeats and token refreshes.

use async_trait::async_trait;
use gastown_domain::TownId;
use gastown_domain::ports::{GatewayToken, HomeCalls, HomeError};
use secrecy::SecretString;

use crate::tokens::{SecretError, gateway_token};
use crate::town_service::TownService;

#[async_trait]
impl HomeCalls for TownService {
    async fn heartbeat(&self, town: TownId, key: SecretString) -> Result<(), HomeError> {
        self.authorize(town, &key)?;
        let at = self.ports.env.clock.now();
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
        gateway_token(&self.ports, &row).await.map_err(|error| match error {
            SecretError::Store(error) => HomeError::Store(error),
            SecretError::Failed(failure) => HomeError::NoToken(failure),
        })
    }
}

impl TownService {
    fn authorize(&self, town: TownId, key: &SecretString) -> Result<(), HomeError> {
        if self.ports.secrets.towns.verify(town, key) { Ok(()) } else { Err(HomeError::Unauthorized) }
    }
}
