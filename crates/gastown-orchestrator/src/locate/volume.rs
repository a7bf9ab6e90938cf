//! Locating a town's volume.

use gastown_domain::ports::{ObservedVolume, ProviderError, Volumes};
use gastown_domain::{AppName, Town, VolumeId};

/// Fetches the volume that the town's row records. `None` when the row records none or the volume is absent.
pub(crate) async fn recorded(
    volumes: &dyn Volumes,
    app: &AppName,
    town: &Town,
) -> Result<Option<ObservedVolume>, ProviderError> {
    match &town.volume_id {
        Some(id) => volumes.volume(app, id).await,
        None => Ok(None),
    }
}

/// Fetches the volumes with the town's name. Names of volumes are not unique (FM-02).
pub(crate) async fn named(
    volumes: &dyn Volumes,
    app: &AppName,
    town: &Town,
) -> Result<Vec<ObservedVolume>, ProviderError> {
    volumes.volumes_of(app, town.id).await
}

/// Returns the volume that holds the data of a town whose recorded volume is gone: the one that its machine mounts. The
/// origin and content of any other volume of the name are not known (FM-22).
pub(crate) fn mounted<'named>(
    named: &'named [ObservedVolume],
    mounted: Option<&VolumeId>,
) -> Option<&'named ObservedVolume> {
    named.iter().find(|volume| mounted == Some(&volume.id) && !volume.destroying)
}

/// Returns the best of several volumes of one name: an attached one, else one that stays.
pub(crate) fn preferred(named: &[ObservedVolume]) -> Option<&ObservedVolume> {
    let attached = named.iter().find(|volume| volume.bound_to.is_some());
    attached.or_else(|| named.iter().find(|volume| !volume.destroying)).or(named.first())
}
