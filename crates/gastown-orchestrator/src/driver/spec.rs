//! What a town's machine shall be: built whole from the row each time, with a fresh token (FM-25).

use std::collections::BTreeMap;

use gastown_domain::ports::{MachineSpec, SealError, VolumeSpec};
use gastown_domain::{AppName, Failure, Region, Town, VolumeId};
use secrecy::SecretString;

use super::Reconciler;
use crate::tokens::{SecretError, gateway_token};

impl Reconciler {
    pub(super) fn volume_spec(&self, app: &AppName, town: &Town, region: Region) -> VolumeSpec {
        let template = &self.settings.machine;
        VolumeSpec { app: app.clone(), town: town.id, region, size: template.volume, guest: template.guest }
    }

    /// The whole of the town's machine: a fresh token is minted, the secret values are sealed.
    pub(super) async fn machine_spec(
        &self,
        app: &AppName,
        town: &Town,
        volume: VolumeId,
        region: Region,
    ) -> Result<MachineSpec, SecretError> {
        let template = &self.settings.machine;
        let metadata = [
            ("gastown_town_id", town.id.to_string()),
            ("gastown_sandbox_id", town.sandbox_id.to_string()),
            ("gastown_user_id", town.owner.to_string()),
        ];
        Ok(MachineSpec {
            app: app.clone(),
            town: town.id,
            region,
            image: template.image.clone(),
            guest: template.guest,
            volume,
            env: self.environment(town).await?,
            metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        })
    }

    async fn environment(&self, town: &Town) -> Result<BTreeMap<String, String>, SecretError> {
        let given = &self.settings.env;
        let token = gateway_token(&self.ports, town).await?;

        let plain = [
            ("KILO_API_URL", Some(given.kilo_api_url.clone())),
            ("TOWN_ID", Some(town.id.to_string())),
            ("R2_BUCKET", Some(given.r2_bucket.clone())),
            ("R2_ENDPOINT", given.r2_endpoint.clone()),
            ("GASTOWN_CLOUD_URL", given.gastown_cloud_url.clone()),
        ];
        let secret = [
            ("KILO_JWT", Some(token.token)),
            ("R2_ACCESS_KEY", Some(given.r2_access_key.clone())),
            ("R2_SECRET_KEY", given.r2_secret_key.clone()),
            ("INTERNAL_API_KEY", Some(self.ports.keys.towns.key_of(town.id))),
        ];
        let mut env: BTreeMap<String, String> =
            plain.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        for (name, value) in secret {
            if let Some(value) = value {
                env.insert(name.to_owned(), self.sealed(&value)?);
            }
        }
        Ok(env)
    }

    fn sealed(&self, value: &SecretString) -> Result<String, SecretError> {
        self.ports.keys.sealer.seal(value).map_err(|error: SealError| {
            tracing::error!(error = &error as &dyn std::error::Error, "value could not be sealed");
            SecretError::Failed(Failure::SecretsUnavailable)
        })
    }
}
