//! Restores: accepted only for a town whose volume is recorded as lost and whose data was saved before.

use gastown_domain::ports::RestoreRefusal;
use gastown_domain::{Drift, Progress, Region, VolumeId};
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::entity::gastown_town_health::{self as health, Column};
use crate::entity::gastown_towns as towns;
use crate::error::{TxError, unwritable};

/// Returns the first progress of the restore of a locked, idle town: its lost volume, and the time of its saved data.
pub(crate) async fn begin(
    tx: &DatabaseTransaction,
    town: &towns::Model,
) -> Result<Result<Progress, RestoreRefusal>, TxError> {
    let lost = health::Entity::find_by_id(town.id).filter(Column::Drift.eq(Drift::VolumeLost.as_str()));
    if lost.one(tx).await?.is_none() {
        return Ok(Err(RestoreRefusal::VolumeNotLost));
    }
    let Some(saved_at) = town.last_r2_sync_at else { return Ok(Err(RestoreRefusal::NeverSaved)) };
    let lost_volume = town.fly_volume_id.as_deref().map(str::parse::<VolumeId>).transpose().map_err(unwritable)?;
    let lost_region = town.fly_region.as_deref().map(str::parse::<Region>).transpose().map_err(unwritable)?;
    Ok(Ok(Progress { lost_volume, lost_region, saved_at: Some(saved_at), ..Progress::default() }))
}
