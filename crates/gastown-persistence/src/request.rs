//! Requests: inserts an operation, or resolves the conflict with the one in flight.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{NewOperation, Requested, StoreError};
use gastown_domain::{
    OperationId, OperationKind, Phase, Progress, RecordedOperation, Rejection, TownId, UnconfirmedCreate,
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _, QueryResult, QueryTrait as _, Set,
};
use uuid::Uuid;

use crate::calendar::{deadline, truncated};
use crate::dialect::{self, locked};
use crate::entity::{gastown_operations as operations, gastown_towns as towns};
use crate::error::{TxError, unwritable};
use crate::events::{Event, PREEMPTED};
use crate::row::operation_of;

/// The number of agreeing observations after which a resource of an operation of unknown progress counts as absent.
const OBSERVATIONS: u8 = 5;

/// Inserts the row of an accepted operation, due at once by the database's clock.
pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    request: &NewOperation,
    phase: Phase,
    progress: &Progress,
) -> Result<RecordedOperation, TxError> {
    let row = unclaimed(request, dialect::now(tx).await?, 0, phase, progress)?;
    let row = row.insert(tx).await.map_err(TxError::writing("gastown_operations"))?;
    Ok(row.into_operation()?)
}

/// Requests an owner's start, stop or destroy. A tombstone is visible to its owner only while its destroy is in flight.
pub(crate) async fn of_owner(tx: &DatabaseTransaction, request: &NewOperation) -> Result<Requested, TxError> {
    let owner = request.requested_by.as_str();
    let found = towns::Entity::find_by_id(request.town.as_uuid()).filter(towns::Column::UserId.eq(owner));
    let Some(town) = locked(found).one(tx).await? else { return Ok(Requested::NotFound) };
    let current = locked(operations::Entity::find_by_id(request.town.as_uuid())).one(tx).await?;
    match current.map(operations::Model::into_operation).transpose()? {
        Some(current) => resolve(tx, &town, current, request, owner).await,
        None if town.destroyed_at.is_some() => Ok(Requested::NotFound),
        None => accept(tx, request, Phase::Begun, owner).await,
    }
}

/// Requests an operator's destroy of any owner's town. A tombstone with remaining resources is destroyed again.
pub(crate) async fn of_operator(
    tx: &DatabaseTransaction,
    request: &NewOperation,
    actor: &str,
) -> Result<Requested, TxError> {
    let found = towns::Entity::find_by_id(request.town.as_uuid());
    let Some(town) = locked(found).one(tx).await? else { return Ok(Requested::NotFound) };
    let row = tx.query_one(&locked(operations::Entity::find_by_id(request.town.as_uuid())).into_query()).await?;
    match row.map(|row| (operation_of(&row, operations::Model::into_operation), row)) {
        Some((Ok(current), _)) => resolve(tx, &town, current, request, actor).await,
        Some((Err(unreadable), row)) => replace(tx, &town, (&row, &unreadable), request, actor).await,
        None if town.destroyed_at.is_none() => accept(tx, request, Phase::Begun, actor).await,
        None if town.fly_machine_id.is_some() || town.fly_volume_id.is_some() => {
            accept(tx, request, Phase::Settled, actor).await
        }
        None => Ok(Requested::NotFound),
    }
}

async fn accept(
    tx: &DatabaseTransaction,
    request: &NewOperation,
    phase: Phase,
    actor: &str,
) -> Result<Requested, TxError> {
    let accepted = insert(tx, request, phase, &Progress::default()).await?;
    Event::accepted(&accepted).by(actor).record(tx).await?;
    Ok(Requested::Accepted(accepted))
}

/// Resolves a request against the operation in flight.
async fn resolve(
    tx: &DatabaseTransaction,
    town: &towns::Model,
    current: RecordedOperation,
    request: &NewOperation,
    actor: &str,
) -> Result<Requested, TxError> {
    let destroys = request.kind == OperationKind::Destroy;
    if destroys && current.is_newer() {
        log_newer_replaced(&current);
        return preempt(tx, town, &current, &all_unconfirmed(current.progress.clone()), request, actor).await;
    }
    if destroys && current.kind.known().is_some_and(OperationKind::removes) {
        return Ok(Requested::Joined(current));
    }
    if town.destroyed_at.is_some() {
        return Ok(Requested::NotFound);
    }
    if current.kind == request.kind {
        return Ok(Requested::Joined(current));
    }
    if !destroys {
        return Ok(Requested::Busy(current));
    }
    preempt(tx, town, &current, &current.progress, request, actor).await
}

/// Turns the row into that of a destroy. The progress stays, because it tells which resources may exist.
async fn preempt(
    tx: &DatabaseTransaction,
    town: &towns::Model,
    current: &RecordedOperation,
    progress: &Progress,
    request: &NewOperation,
    actor: &str,
) -> Result<Requested, TxError> {
    let now = dialect::now(tx).await?;
    let row = unclaimed(request, now, current.fence.saturating_add(1), first_phase(town), progress)?;
    let preempted = Err(Rejection::Preempted);
    let ended = Event::ended(current, &preempted, now);
    supersede(tx, row, ended, actor).await
}

/// Replaces an unreadable operation by an operator's destroy, and records it as pre-empted.
async fn replace(
    tx: &DatabaseTransaction,
    town: &towns::Model,
    (before, unreadable): (&QueryResult, &StoreError),
    request: &NewOperation,
    actor: &str,
) -> Result<Requested, TxError> {
    log_replaced(request.town, unreadable);
    let (fence, id): (i64, Uuid) = (before.try_get("", "fence")?, before.try_get("", "id")?);
    let (kind, owner): (String, String) = (before.try_get("", "kind")?, before.try_get("", "requested_by")?);
    let now = dialect::now(tx).await?;
    let progress = all_unconfirmed(Progress::default());
    let row = unclaimed(request, now, fence.saturating_add(1), first_phase(town), &progress)?;
    let ended = Event::of(request.town, &owner, &kind, PREEMPTED, now).of_operation(OperationId::new(id));
    supersede(tx, row, ended, actor).await
}

fn log_replaced(town: TownId, error: &StoreError) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(town.id = %town, error, "unreadable operation replaced by destroy");
}

fn log_newer_replaced(operation: &RecordedOperation) {
    tracing::warn!(
        town.id = %operation.town,
        op.id = %operation.id,
        op.kind = %operation.kind,
        op.phase = %operation.phase,
        "operation of a newer version replaced by destroy"
    );
}

/// Returns the phase of a destroy that replaces another operation.
const fn first_phase(town: &towns::Model) -> Phase {
    if town.destroyed_at.is_some() { Phase::Settled } else { Phase::Begun }
}

/// Returns the progress of an operation that may have sent any create.
fn all_unconfirmed(progress: Progress) -> Progress {
    let unconfirmed = UnconfirmedCreate::of_the_past(OBSERVATIONS);
    Progress { unconfirmed_volume: unconfirmed, unconfirmed_machine: unconfirmed, ..progress }
}

/// Writes a destroy over the row of another operation, and records the end of that one.
async fn supersede(
    tx: &DatabaseTransaction,
    row: operations::ActiveModel,
    ended: Event<'_>,
    actor: &str,
) -> Result<Requested, TxError> {
    let row = row.update(tx).await.map_err(TxError::writing("gastown_operations"))?;
    ended.record(tx).await?;
    let destroy = row.into_operation()?;
    Event::accepted(&destroy).by(actor).record(tx).await?;
    Ok(Requested::Accepted(destroy))
}

/// Returns the row of an operation without a claim.
fn unclaimed(
    request: &NewOperation,
    now: DateTime<Utc>,
    fence: i64,
    phase: Phase,
    progress: &Progress,
) -> Result<operations::ActiveModel, StoreError> {
    Ok(operations::ActiveModel {
        town_id: Set(request.town.as_uuid()),
        id: Set(request.id.as_uuid()),
        kind: Set(request.kind.as_str().to_owned()),
        mark: Set(phase.as_str().to_owned()),
        step: Set(None),
        attempt: Set(0),
        last_error: Set(None),
        cause: Set(None),
        requested_by: Set(request.requested_by.as_str().to_owned()),
        owner: Set(None),
        lease_expires_at: Set(None),
        fence: Set(fence),
        next_attempt_at: Set(now),
        deadline_at: Set(deadline(now, request.timeout)),
        progress: Set(serde_json::to_value(progress).map_err(unwritable)?),
        created_at: Set(truncated(request.at)),
        updated_at: Set(now),
    })
}
