//! Restarts: requested by the health monitor, never by a user.

use gastown_domain::ports::{FailedCheck, NewOperation};
use gastown_domain::{Phase, Progress, TownStatus};
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::dialect::locked;
use crate::entity::gastown_towns as towns;
use crate::error::TxError;
use crate::events::{Event, MONITOR};
use crate::town_queries::has_operation;
use crate::{health_checks, request};

/// Inserts the restart of a running, idle town, and counts it if a failed check requests it.
pub(crate) async fn accept(
    tx: &DatabaseTransaction,
    request: &NewOperation,
    progress: &Progress,
    check: Option<FailedCheck>,
) -> Result<bool, TxError> {
    let running = towns::Entity::find_by_id(request.town.as_uuid())
        .filter(towns::Column::DestroyedAt.is_null())
        .filter(towns::Column::Status.eq(TownStatus::Running.as_str()));
    let town = locked(running).one(tx).await?;
    // Only the lock of the town's row prevents others from inserting an operation.
    if town.is_none() || has_operation(tx, request.town).await? {
        return Ok(false);
    }
    if let Some(check) = check
        && !health_checks::count_restart(tx, request.town, check).await?
    {
        return Ok(false);
    }
    let progress = progress.clone().requested_by(MONITOR, &request.requested_by);
    let operation = request::insert(tx, request, Phase::Begun, &progress).await?;
    Event::accepted(&operation).record(tx).await?;
    Ok(true)
}
