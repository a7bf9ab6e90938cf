//! Writing a wish down: the row of an operation, or what is in its way.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{NewOperation, Requested, StoreError};
use gastown_domain::{Operation, OperationId, OperationKind, Phase, Progress, Rejection, TownId, UnconfirmedCreate};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _,
    QueryFilter as _, QueryResult, QueryTrait as _, Set,
};
use uuid::Uuid;

use crate::calendar::{deadline, truncated};
use crate::dialect::{self, locked};
use crate::entity::{gastown_operations as operations, gastown_towns as towns};
use crate::error::{Stop, unwritable};
use crate::events::{Event, PREEMPTED};
use crate::row::decoded;

/// Towns with nothing in flight.
pub(crate) fn idle() -> Expr {
    let in_flight = Query::select().column(operations::Column::TownId).from(operations::Entity).take();
    towns::Column::Id.not_in_subquery(in_flight)
}

/// Whether something is in flight on a town. Whoever decides by it holds the lock of the town's row, as everybody does
/// who writes an operation down.
pub(crate) async fn has_operation(db: &impl ConnectionTrait, town: TownId) -> Result<bool, DbErr> {
    operations::Entity::find_by_id(town.as_uuid()).one(db).await.map(|row| row.is_some())
}

/// Writes the row of an accepted operation, due at once by the database's clock.
pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    wish: &NewOperation,
    mark: Phase,
    progress: &Progress,
) -> Result<Operation, Stop> {
    let row = fresh(wish, dialect::now(tx).await?, 0, mark, progress)?;
    let row = row.insert(tx).await.map_err(Stop::writing("gastown_operations"))?;
    Ok(row.into_operation()?)
}

/// Looks that must agree before what an unreadable operation may have made counts as absent.
const LOOKS_IN_DOUBT: u8 = 5;

/// What becomes of an owner's start, stop or destroy. To its owner a tombstone exists only for a destroy that is still
/// at work.
pub(crate) async fn of_owner(tx: &DatabaseTransaction, wish: &NewOperation) -> Result<Requested, Stop> {
    let owners =
        towns::Entity::find_by_id(wish.town.as_uuid()).filter(towns::Column::UserId.eq(wish.requested_by.as_str()));
    let Some(town) = locked(owners).one(tx).await? else { return Ok(Requested::NotFound) };
    match in_flight(tx, wish.town).await? {
        Some(current) => beside(tx, &town, current, wish, wish.requested_by.as_str()).await,
        None if town.destroyed_at.is_some() => Ok(Requested::NotFound),
        None => accept(tx, wish, Phase::Begun, wish.requested_by.as_str()).await,
    }
}

/// What becomes of an operator's destroy, of whomever the town is: one that was left over is removed again.
pub(crate) async fn of_operator(tx: &DatabaseTransaction, wish: &NewOperation, actor: &str) -> Result<Requested, Stop> {
    let found = towns::Entity::find_by_id(wish.town.as_uuid());
    let Some(town) = locked(found).one(tx).await? else { return Ok(Requested::NotFound) };
    let row = tx.query_one(&locked(operations::Entity::find_by_id(wish.town.as_uuid())).into_query()).await?;
    match row.map(|row| (read(&row), row)) {
        Some((Ok(current), _)) => beside(tx, &town, current, wish, actor).await,
        Some((Err(unreadable), row)) => replace(tx, &town, (&row, &unreadable), wish, actor).await,
        None if town.destroyed_at.is_none() => accept(tx, wish, Phase::Begun, actor).await,
        None if town.fly_machine_id.is_some() || town.fly_volume_id.is_some() => {
            accept(tx, wish, Phase::Settled, actor).await
        }
        None => Ok(Requested::NotFound),
    }
}

async fn in_flight(tx: &DatabaseTransaction, town: TownId) -> Result<Option<Operation>, Stop> {
    let row = locked(operations::Entity::find_by_id(town.as_uuid())).one(tx).await?;
    Ok(row.map(operations::Model::into_operation).transpose()?)
}

async fn accept(tx: &DatabaseTransaction, wish: &NewOperation, mark: Phase, actor: &str) -> Result<Requested, Stop> {
    let accepted = insert(tx, wish, mark, &Progress::default()).await?;
    Event::accepted(&accepted).by(actor).record(tx).await?;
    Ok(Requested::Accepted(accepted))
}

/// What becomes of a wish while something is in flight.
async fn beside(
    tx: &DatabaseTransaction,
    town: &towns::Model,
    current: Operation,
    wish: &NewOperation,
    actor: &str,
) -> Result<Requested, Stop> {
    let destroys = wish.kind == OperationKind::Destroy;
    if destroys && current.kind.removes() {
        return Ok(Requested::Joined(current));
    }
    if town.destroyed_at.is_some() {
        return Ok(Requested::NotFound);
    }
    if current.kind == wish.kind {
        return Ok(Requested::Joined(current));
    }
    if destroys { preempt(tx, &current, wish, actor).await } else { Ok(Requested::Busy(current)) }
}

/// The row becomes the destroy's. What the driver remembered stays: it tells what may exist on Fly.
async fn preempt(
    tx: &DatabaseTransaction,
    current: &Operation,
    wish: &NewOperation,
    actor: &str,
) -> Result<Requested, Stop> {
    let now = dialect::now(tx).await?;
    let row = fresh(wish, now, current.fence + 1, Phase::Begun, &current.progress)?;
    let row = row.update(tx).await.map_err(Stop::writing("gastown_operations"))?;
    Event::ended(current, &Err(Rejection::Preempted), now).record(tx).await?;
    let destroy = row.into_operation()?;
    Event::accepted(&destroy).by(actor).record(tx).await?;
    Ok(Requested::Accepted(destroy))
}

fn read(row: &QueryResult) -> Result<Operation, StoreError> {
    decoded::<operations::Entity, operations::Model>(row, "")?.into_operation()
}

/// An operation that cannot be read is nobody's to carry on: an operator's destroy takes its place. What it had asked of Fly
/// is not known, so all of it is in doubt. Whoever waits for its end reads that it was pre-empted.
async fn replace(
    tx: &DatabaseTransaction,
    town: &towns::Model,
    (before, unreadable): (&QueryResult, &StoreError),
    wish: &NewOperation,
    actor: &str,
) -> Result<Requested, Stop> {
    tracing::warn!(
        town.id = %wish.town,
        error = unreadable as &(dyn std::error::Error + 'static),
        "an operation that cannot be read gives way to a destroy"
    );
    let doubt = UnconfirmedCreate::of_the_past(LOOKS_IN_DOUBT);
    let progress = Progress { unconfirmed_volume: doubt.clone(), unconfirmed_machine: doubt, ..Progress::default() };
    let mark = if town.destroyed_at.is_some() { Phase::Settled } else { Phase::Begun };
    let (fence, id): (i64, Uuid) = (before.try_get("", "fence")?, before.try_get("", "id")?);
    let (kind, whose): (String, String) = (before.try_get("", "kind")?, before.try_get("", "requested_by")?);
    let now = dialect::now(tx).await?;
    let row = fresh(wish, now, fence.saturating_add(1), mark, &progress)?;
    let row = row.update(tx).await.map_err(Stop::writing("gastown_operations"))?;
    let ended = Event::of(wish.town, &whose, &kind, PREEMPTED, now).of_operation(OperationId::new(id));
    ended.record(tx).await?;
    let destroy = row.into_operation()?;
    Event::accepted(&destroy).by(actor).record(tx).await?;
    Ok(Requested::Accepted(destroy))
}

/// A row that nobody has claimed.
fn fresh(
    wish: &NewOperation,
    now: DateTime<Utc>,
    fence: i64,
    mark: Phase,
    progress: &Progress,
) -> Result<operations::ActiveModel, StoreError> {
    Ok(operations::ActiveModel {
        town_id: Set(wish.town.as_uuid()),
        id: Set(wish.id.as_uuid()),
        kind: Set(wish.kind.as_str().to_owned()),
        mark: Set(mark.as_str().to_owned()),
        step: Set(None),
        attempt: Set(0),
        last_error: Set(None),
        cause: Set(None),
        requested_by: Set(wish.requested_by.as_str().to_owned()),
        owner: Set(None),
        lease_expires_at: Set(None),
        fence: Set(fence),
        next_attempt_at: Set(now),
        deadline_at: Set(deadline(now, wish.timeout)),
        progress: Set(serde_json::to_value(progress).map_err(unwritable)?),
        created_at: Set(truncated(wish.at)),
        updated_at: Set(now),
    })
}
