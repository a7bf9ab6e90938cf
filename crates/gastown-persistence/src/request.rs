//! Writing a wish down: the row of an operation, or what is in its way.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{NewOperation, Requested, StoreError};
use gastown_domain::{Mark, Operation, OperationKind, Progress, Rejection};
use sea_orm::{ActiveModelTrait as _, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, Set};

use crate::dialect::{self, locked};
use crate::entity::{gastown_operations as operations, gastown_towns as towns};
use crate::error::{Stop, unwritable};
use crate::events::Event;
use crate::row::truncated;

/// Writes the row of an accepted operation, due at once by the database's clock.
pub(crate) async fn insert(tx: &DatabaseTransaction, wish: &NewOperation) -> Result<Operation, Stop> {
    let row = fresh(wish, dialect::now(tx).await?, 0, &Progress::default())?;
    let row = row.insert(tx).await.map_err(Stop::writing("gastown_operations"))?;
    Ok(row.into_operation()?)
}

/// What becomes of a start, stop or destroy, by what is in flight.
pub(crate) async fn decide(tx: &DatabaseTransaction, wish: &NewOperation) -> Result<Requested, Stop> {
    let owners =
        towns::Entity::find_by_id(wish.town.as_uuid()).filter(towns::Column::UserId.eq(wish.requested_by.as_str()));
    let Some(town) = locked(owners).one(tx).await? else { return Ok(Requested::NotFound) };
    let in_flight = locked(operations::Entity::find_by_id(wish.town.as_uuid())).one(tx).await?;
    let in_flight = in_flight.map(operations::Model::into_operation).transpose()?;
    if town.destroyed_at.is_some() {
        // To its owner a tombstone exists only for a destroy that is still at work.
        return Ok(match in_flight {
            Some(removal) if wish.kind == OperationKind::Destroy && removal.kind.removes() => {
                Requested::Joined(removal)
            }
            _ => Requested::NotFound,
        });
    }
    match in_flight {
        None => {
            let accepted = insert(tx, wish).await?;
            Event::accepted(&accepted, None).record(tx).await?;
            Ok(Requested::Accepted(accepted))
        }
        Some(current) if current.kind == wish.kind => Ok(Requested::Joined(current)),
        Some(current) if wish.kind == OperationKind::Destroy && current.kind.removes() => {
            Ok(Requested::Joined(current))
        }
        Some(current) if wish.kind == OperationKind::Destroy => preempt(tx, &current, wish).await,
        Some(current) => Ok(Requested::Busy(current)),
    }
}

/// The row becomes the destroy's. What the driver remembered stays: it tells what may exist on Fly.
async fn preempt(tx: &DatabaseTransaction, current: &Operation, wish: &NewOperation) -> Result<Requested, Stop> {
    let now = dialect::now(tx).await?;
    let row = fresh(wish, now, current.fence + 1, &current.progress)?;
    let row = row.update(tx).await.map_err(Stop::writing("gastown_operations"))?;
    Event::ended(current, Err(Rejection::Preempted), now).record(tx).await?;
    let destroy = row.into_operation()?;
    Event::accepted(&destroy, None).record(tx).await?;
    Ok(Requested::Accepted(destroy))
}

/// A row that nobody has claimed.
fn fresh(
    wish: &NewOperation,
    now: DateTime<Utc>,
    fence: i64,
    progress: &Progress,
) -> Result<operations::ActiveModel, StoreError> {
    Ok(operations::ActiveModel {
        town_id: Set(wish.town.as_uuid()),
        id: Set(wish.id.as_uuid()),
        kind: Set(wish.kind.as_str().to_owned()),
        mark: Set(Mark::Begun.as_str().to_owned()),
        step: Set(None),
        attempt: Set(0),
        last_error: Set(None),
        cause: Set(None),
        requested_by: Set(wish.requested_by.as_str().to_owned()),
        owner: Set(None),
        lease_expires_at: Set(None),
        fence: Set(fence),
        next_attempt_at: Set(now),
        deadline_at: Set(truncated(wish.deadline_at)),
        progress: Set(serde_json::to_value(progress).map_err(unwritable)?),
        created_at: Set(truncated(wish.at)),
        updated_at: Set(now),
    })
}
