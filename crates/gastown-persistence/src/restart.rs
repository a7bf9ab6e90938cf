//! Restarts: requested by the health monitor, never by a user.

use gastown_domain::ports::NewOperation;
use gastown_domain::{Phase, Progress, TownStatus};
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::dialect::locked;
use crate::entity::gastown_towns as towns;
use crate::error::TxError;
use crate::events::Event;
use crate::request;
use crate::town_queries::has_operation;

/// Inserts the restart of a running, idle town.
pub(crate) async fn accept(
    tx: &DatabaseTransaction,
    request: &NewOperation,
    progress: &Progress,
) -> Result<bool, TxError> {
    let running = towns::Entity::find_by_id(request.town.as_uuid())
        .filter(towns::Column::DestroyedAt.is_null())
        .filter(towns::Column::Status.eq(TownStatus::Running.as_str()));
    let town = locked(running).one(tx).await?;
    // Only the lock of the town's row prevents others from inserting an operation.
    if town.is_none() || has_operation(tx, request.town).await? {
        return Ok(false);
    }
    let operation = request::insert(tx, request, Phase::Begun, progress).await?;
    Event::accepted(&operation).record(tx).await?;
    Ok(true)
}
