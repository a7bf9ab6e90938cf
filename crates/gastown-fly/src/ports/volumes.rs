//! The port `Volumes`.

use async_trait::async_trait;
use gastown_domain::{
    AppName, TownId, VolumeId,
    ports::{Action, Deletion, ObservedVolume, ProviderError, VolumeSpec, Volumes},
};

use crate::{
    api::{
        self, Subject,
        volumes::{CreateVolume, Volume},
    },
    fly::Fly,
    mapping::{
        errors::{invalid_answer, invalid_spec},
        names::volume_name,
        sizes::{guest, volume_size},
        states::{self, Mapped},
    },
    refusal::Refusal,
};

#[async_trait]
impl Volumes for Fly {
    async fn volume(&self, app: &AppName, id: &VolumeId) -> Result<Option<ObservedVolume>, ProviderError> {
        const ACTION: Action = Action::ReadVolume;
        match self.client.fetch::<Volume>(&api::volumes::get(app.as_str(), id.as_str())).await {
            Ok(volume) if volume.id != id.as_str() => Err(invalid_answer(ACTION)),
            Ok(volume) => states::volume(&volume).present(ACTION),
            Err(error) if error.refusal() == Some(&Refusal::NotFound(Subject::Volume)) => {
                self.prove_unlisted(app, id).await.map(|()| None)
            }
            Err(error) => Err(self.app_error(app, ACTION, error)),
        }
    }

    async fn volumes_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedVolume>, ProviderError> {
        const ACTION: Action = Action::ListVolumes;
        let name = volume_name(town);
        let listed: Vec<Volume> = self.fetch_list(app, &api::volumes::list(app.as_str()), ACTION, &[&name]).await?;
        let named = listed.iter().filter(|volume| volume.name == name);
        named.filter_map(|volume| states::volume(volume).present(ACTION).transpose()).collect()
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<ObservedVolume, ProviderError> {
        const ACTION: Action = Action::CreateVolume;
        let call = api::volumes::create(
            spec.app.as_str(),
            &CreateVolume {
                name: &volume_name(spec.town),
                region: spec.region.as_str(),
                size_gb: volume_size(spec.size).map_err(invalid_spec(ACTION))?,
                encrypted: true,
                require_unique_zone: false,
                compute: Some(&guest(spec.guest).map_err(invalid_spec(ACTION))?),
            },
        );
        let volume: Volume =
            self.client.fetch(&call).await.map_err(|error| self.app_error(&spec.app, ACTION, error))?;
        let created = states::volume(&volume).present(ACTION)?.ok_or_else(|| invalid_answer(ACTION))?;
        // Fly places a volume in the region of the request, and in no other.
        Ok(ObservedVolume { region: created.region.or_else(|| Some(spec.region.clone())), ..created })
    }

    async fn delete_volume(&self, app: &AppName, id: &VolumeId) -> Result<Deletion, ProviderError> {
        match self.client.send(&api::volumes::destroy(app.as_str(), id.as_str())).await {
            Ok(()) => Ok(Deletion::Accepted),
            Err(error) => {
                self.prove_absent(app, Subject::Volume, Action::DeleteVolume, error).await?;
                Ok(Deletion::AlreadyAbsent)
            }
        }
    }
}

impl Fly {
    /// Proves by a second, different read that a volume is lost (FM-22). The list also proves that the app answers (FM-33).
    async fn prove_unlisted(&self, app: &AppName, id: &VolumeId) -> Result<(), ProviderError> {
        const ACTION: Action = Action::ReadVolume;
        let listed: Vec<Volume> =
            self.fetch_list(app, &api::volumes::list(app.as_str()), ACTION, &[id.as_str()]).await?;
        match listed.iter().find(|volume| volume.id == id.as_str()).map(states::volume) {
            None | Some(Mapped::Destroyed) => Ok(()),
            Some(Mapped::Present(_)) => Err(ProviderError::Unknown { action: ACTION, cause: Box::new(Contradiction) }),
            Some(Mapped::Invalid) => Err(invalid_answer(ACTION)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("Fly lists the volume and answers that it does not exist")]
struct Contradiction;
