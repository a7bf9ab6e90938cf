//! `Volumes` on Fly.

use async_trait::async_trait;
use gastown_domain::{
    AppName, TownId, VolumeId,
    ports::{Action, ObservedVolume, ProviderError, VolumeSpec, Volumes},
};

use crate::{
    api::{
        self, Subject,
        volumes::{CreateVolume, Volume},
    },
    fly::Fly,
    mapping::machine_config::guest,
    mapping::states::{self, Sighted},
    refusal::Refusal,
    rubbish::rubbish,
};

#[async_trait]
impl Volumes for Fly {
    async fn volume(&self, app: &AppName, id: &VolumeId) -> Result<Option<ObservedVolume>, ProviderError> {
        const ACTION: Action = Action::ReadVolume;
        match self.client.ask::<Volume>(&api::volumes::get(app.as_str(), id.as_str())).await {
            Ok(volume) if volume.id != id.as_str() => Err(rubbish(ACTION)),
            Ok(volume) => match states::volume(&volume) {
                Sighted::There(sighting) => Ok(Some(sighting)),
                Sighted::Gone => Ok(None),
                Sighted::Rubbish => Err(rubbish(ACTION)),
            },
            Err(error) if error.refusal() == Some(&Refusal::NotFound(Subject::Volume)) => self.unlisted(app, id).await,
            Err(error) => Err(self.failed(app, ACTION, error)),
        }
    }

    async fn volumes_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedVolume>, ProviderError> {
        const ACTION: Action = Action::ListVolumes;
        let name = town.volume_name();
        let mut sightings = Vec::new();
        let listed: Vec<Volume> = self.list(app, &api::volumes::list(app.as_str()), ACTION, &[&name]).await?;
        for volume in listed.iter().filter(|volume| volume.name == name) {
            match states::volume(volume) {
                Sighted::There(sighting) => sightings.push(sighting),
                Sighted::Gone => {}
                Sighted::Rubbish => return Err(rubbish(ACTION)),
            }
        }
        Ok(sightings)
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<ObservedVolume, ProviderError> {
        const ACTION: Action = Action::CreateVolume;
        let call = api::volumes::create(
            spec.app.as_str(),
            &CreateVolume {
                name: &spec.town.volume_name(),
                region: spec.region.as_str(),
                size_gb: spec.size.get(),
                encrypted: true,
                require_unique_zone: false,
                compute: Some(&guest(spec.guest)),
            },
        );
        let volume: Volume = self.client.ask(&call).await.map_err(|error| self.failed(&spec.app, ACTION, error))?;
        match states::volume(&volume) {
            Sighted::There(sighting) => Ok(sighting),
            Sighted::Gone | Sighted::Rubbish => Err(rubbish(ACTION)),
        }
    }

    async fn delete_volume(&self, app: &AppName, id: &VolumeId) -> Result<(), ProviderError> {
        match self.client.tell(&api::volumes::destroy(app.as_str(), id.as_str())).await {
            Ok(()) => Ok(()),
            Err(error) => self.proven_absent(app, Subject::Volume, Action::DeleteVolume, error).await,
        }
    }
}

impl Fly {
    /// The second, different read that the loss of a volume needs (FM-22). It proves that the app answers, too (FM-33).
    async fn unlisted<T>(&self, app: &AppName, id: &VolumeId) -> Result<Option<T>, ProviderError> {
        const ACTION: Action = Action::ReadVolume;
        let listed: Vec<Volume> = self.list(app, &api::volumes::list(app.as_str()), ACTION, &[id.as_str()]).await?;
        match listed.iter().find(|volume| volume.id == id.as_str()).map(states::volume) {
            None | Some(Sighted::Gone) => Ok(None),
            Some(Sighted::There(_)) => Err(ProviderError::Unknown { action: ACTION, cause: Box::new(Contradiction) }),
            Some(Sighted::Rubbish) => Err(rubbish(ACTION)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("Fly does not know the volume and lists it")]
struct Contradiction;
