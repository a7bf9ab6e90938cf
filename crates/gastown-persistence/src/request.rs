//! Requests: inserts an operation, or resolves the conflict with the one in flight.

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Accepted, NewOperation, Requested, StoreError};
use gastown_domain::{
    OperationId, OperationKind, Phase, Progress, RecordedOperation, Rejection, StepName, TownId, UnconfirmedCreate,
    UserId,
};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait as _, Func, InsertStatement, Query};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait as _, QueryFilter as _, QueryResult, QueryTrait as _, Set,
};
use uuid::Uuid;

use crate::calendar::{after, deadline, lease_millis, storable_deadline, timeout_millis, truncated};
use crate::dialect::{self, locked};
use crate::entity::{gastown_operations as operations, gastown_towns as towns};
use crate::error::{TxError, unwritable};
use crate::events::{Event, PREEMPTED, actor_of_accepted};
use crate::restore;
use crate::row::operation_of;

/// The number of agreeing observations after which a resource of an operation of unknown progress counts as absent.
const OBSERVATIONS: u8 = 5;

/// Inserts the row of an accepted operation, due at once by the database's clock. One statement, which sets the times.
pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    request: &NewOperation,
    phase: Phase,
    progress: &Progress,
) -> Result<RecordedOperation, TxError> {
    let statement = insertion(tx.get_database_backend(), request, phase, progress)?;
    let row = tx.query_one(&statement).await.map_err(TxError::writing("gastown_operations"))?;
    let row = match (row, request.max_in_flight) {
        (Some(row), _) => row,
        (None, Some(limit)) => return Err(StoreError::TooManyOperations { limit }.into()),
        (None, None) => return Err(DbErr::RecordNotInserted.into()),
    };
    Ok(operation_of(&row, operations::Model::into_operation)?)
}

fn insertion(
    backend: DbBackend,
    request: &NewOperation,
    phase: Phase,
    progress: &Progress,
) -> Result<InsertStatement, StoreError> {
    let claim = request.claim.as_ref();
    // A first claim brings a progress of its own, which has no actor.
    let progress = match claim {
        Some(claim) => &Progress { actor: progress.actor.clone(), ..claim.progress.clone() },
        None => progress,
    };
    let after = |millis| dialect::now_plus(backend, millis);
    let lease = claim.map_or_else(no_time, |claim| after(lease_millis(claim.lease)));
    let values: [(operations::Column, Expr); 17] = [
        (operations::Column::TownId, Expr::value(request.town.as_uuid())),
        (operations::Column::Id, Expr::value(request.id.as_uuid())),
        (operations::Column::Kind, Expr::value(request.kind.as_str())),
        (operations::Column::Mark, Expr::value(phase.as_str())),
        (operations::Column::Step, Expr::value(claim.and_then(|claim| claim.step).map(StepName::as_str))),
        (operations::Column::Attempt, Expr::value(0)),
        (operations::Column::LastError, Expr::value(Option::<String>::None)),
        (operations::Column::Cause, Expr::value(Option::<String>::None)),
        (operations::Column::RequestedBy, Expr::value(request.requested_by.as_str())),
        (operations::Column::Owner, Expr::value(claim.map(|claim| claim.worker.0.as_str()))),
        (operations::Column::LeaseExpiresAt, lease),
        (operations::Column::Fence, Expr::value(i64::from(claim.is_some()))),
        (operations::Column::NextAttemptAt, after(0)),
        (operations::Column::DeadlineAt, timeout_millis(request.timeout).map_or_else(no_deadline, after)),
        (operations::Column::Progress, Expr::value(serde_json::to_value(progress).map_err(unwritable)?)),
        (operations::Column::CreatedAt, Expr::value(truncated(request.at))),
        (operations::Column::UpdatedAt, after(0)),
    ];
    let (columns, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    let mut row = Query::select();
    row.exprs(values);
    if let Some(limit) = request.max_in_flight {
        row.and_where(in_flight_of(backend, &request.requested_by).lt(limit));
    }
    let mut insert = Query::insert();
    insert.into_table(operations::Entity).columns(columns).select_from(row).map_err(unwritable)?.returning_all();
    Ok(insert)
}

/// Returns the number of operations in flight that this user has requested. Restarts and idle stops are the service's.
fn in_flight_of(backend: DbBackend, user: &UserId) -> Expr {
    let mut count = Query::select();
    count.expr(Func::count(Expr::col(Asterisk))).from(operations::Entity);
    count.and_where(Expr::col(operations::Column::RequestedBy).eq(user.as_str()));
    count.and_where(Expr::col(operations::Column::Kind).ne(OperationKind::Restart.as_str()));
    count.and_where(dialect::lacks_key(backend, "progress", "idle_since"));
    Expr::SubQuery(None, Box::new(count.into()))
}

fn no_time() -> Expr {
    Expr::value(Option::<DateTime<Utc>>::None)
}

fn no_deadline() -> Expr {
    Expr::value(storable_deadline(None))
}

/// Requests an owner's start, stop or destroy. A tombstone is visible to its owner only while its destroy is in flight.
pub(crate) async fn of_owner(tx: &DatabaseTransaction, request: &NewOperation) -> Result<Requested, TxError> {
    of_actor(tx, request, request.requested_by.as_str()).await
}

/// Requests an operation as its owner does. The events name the actor.
pub(crate) async fn of_actor(
    tx: &DatabaseTransaction,
    request: &NewOperation,
    actor: &str,
) -> Result<Requested, TxError> {
    let owner = request.requested_by.as_str();
    let found = towns::Entity::find_by_id(request.town.as_uuid()).filter(towns::Column::UserId.eq(owner));
    let Some(town) = locked(found).one(tx).await? else { return Ok(Requested::NotFound) };
    let current = locked(operations::Entity::find_by_id(request.town.as_uuid())).one(tx).await?;
    match current.map(operations::Model::into_operation).transpose()? {
        Some(current) => resolve(tx, &town, current, request, actor).await,
        None if town.destroyed_at.is_some() => Ok(Requested::NotFound),
        None => accept(tx, town, request, Phase::Begun, actor).await,
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
        None if town.destroyed_at.is_none() => accept(tx, town, request, Phase::Begun, actor).await,
        None if town.fly_machine_id.is_some() || town.fly_volume_id.is_some() => {
            accept(tx, town, request, Phase::Settled, actor).await
        }
        None => Ok(Requested::NotFound),
    }
}

async fn accept(
    tx: &DatabaseTransaction,
    town: towns::Model,
    request: &NewOperation,
    phase: Phase,
    actor: &str,
) -> Result<Requested, TxError> {
    let by = |progress: Progress| progress.requested_by(actor, &request.requested_by);
    let operation = if request.kind == OperationKind::Restore {
        let progress = match restore::begin(tx, &town).await? {
            Ok(progress) => progress,
            Err(refusal) => return Ok(Requested::NotRestorable(refusal)),
        };
        // A first claim would bring a progress of its own.
        insert(tx, &NewOperation { claim: None, ..request.clone() }, phase, &by(progress)).await?
    } else {
        insert(tx, request, phase, &by(Progress::default())).await?
    };
    Event::accepted(&operation).record(tx).await?;
    Ok(Requested::Accepted(Box::new(Accepted { operation, town: town.into_town()?, replaced: false })))
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
    if destroys && current.kind.known().is_some_and(OperationKind::ends_town) {
        return Ok(Requested::Joined(current));
    }
    if town.destroyed_at.is_some() {
        return Ok(Requested::NotFound);
    }
    let ends_idle_stop = request.kind == OperationKind::Start || request.kind == OperationKind::Stop;
    if ends_idle_stop && current.is_idle_stop() && !current.is_newer() {
        return end_idle_stop(tx, town, &current, request, actor).await;
    }
    let is_restart = current.kind.known() == Some(OperationKind::Restart);
    let is_undone = request.kind == OperationKind::Restore && current.kind.known() == Some(OperationKind::UndoRestore);
    // A restart ends as a start does, and the undo of a restore ends as the failed restore.
    if current.kind == request.kind || is_undone || (is_restart && request.kind == OperationKind::Start) {
        return Ok(Requested::Joined(current));
    }
    let preempts = destroys || (is_restart && !current.is_newer() && request.kind == OperationKind::Stop);
    if !preempts {
        return Ok(Requested::Busy(current));
    }
    preempt(tx, town, &current, &current.progress, request, actor).await
}

/// Ends an idle stop by its owner's start or stop.
///
/// If the machine may have been stopped, a start has to stop it first. Otherwise a late call would stop the machine after the
/// start, which has found it on. A restart does so.
async fn end_idle_stop(
    tx: &DatabaseTransaction,
    town: &towns::Model,
    current: &RecordedOperation,
    request: &NewOperation,
    actor: &str,
) -> Result<Requested, TxError> {
    if request.kind != OperationKind::Start || !current.may_have_stopped_machine() {
        return preempt(tx, town, current, &current.progress, request, actor).await;
    }
    let request = NewOperation { kind: OperationKind::Restart, ..request.clone() };
    let now = dialect::now(tx).await?;
    let progress = Progress { by_owner: true, ..inherited(&current.progress, &request, actor) };
    let row = replacement(&request, now, current.fence.saturating_add(1), first_phase(town), &progress)?;
    let preempted = Err(Rejection::Preempted);
    supersede(tx, town, row, Event::ended(current, &preempted, now)).await
}

/// Turns the row into that of a destroy. That of a restart may become a stop, and that of an idle stop its owner's start or stop.
/// The progress stays, because it tells which resources may exist.
async fn preempt(
    tx: &DatabaseTransaction,
    town: &towns::Model,
    current: &RecordedOperation,
    progress: &Progress,
    request: &NewOperation,
    actor: &str,
) -> Result<Requested, TxError> {
    let now = dialect::now(tx).await?;
    let progress = inherited(progress, request, actor);
    let row = replacement(request, now, current.fence.saturating_add(1), first_phase(town), &progress)?;
    let preempted = Err(Rejection::Preempted);
    let ended = Event::ended(current, &preempted, now);
    supersede(tx, town, row, ended).await
}

/// Returns the progress of an operation of this actor that replaces another one.
fn inherited(progress: &Progress, request: &NewOperation, actor: &str) -> Progress {
    progress.clone().for_replacement().requested_by(actor, &request.requested_by)
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
    let progress = inherited(&all_unconfirmed(Progress::default()), request, actor);
    let row = replacement(request, now, fence.saturating_add(1), first_phase(town), &progress)?;
    let author = actor_of_accepted(tx, id).await?.unwrap_or(owner);
    let ended = Event::of(request.town, &author, &kind, PREEMPTED, now).of_operation(OperationId::new(id));
    supersede(tx, town, row, ended).await
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

/// Writes an operation over the row of another one, and records the end of that one.
async fn supersede(
    tx: &DatabaseTransaction,
    town: &towns::Model,
    row: operations::ActiveModel,
    ended: Event<'_>,
) -> Result<Requested, TxError> {
    let row = row.update(tx).await.map_err(TxError::writing("gastown_operations"))?;
    ended.record(tx).await?;
    let accepted = row.into_operation()?;
    Event::accepted(&accepted).record(tx).await?;
    let town = town.clone().into_town()?;
    Ok(Requested::Accepted(Box::new(Accepted { operation: accepted, town, replaced: true })))
}

/// Returns the row of an operation that replaces another one, claimed if the request says so.
fn replacement(
    request: &NewOperation,
    now: DateTime<Utc>,
    fence: i64,
    phase: Phase,
    progress: &Progress,
) -> Result<operations::ActiveModel, StoreError> {
    let claim = request.claim.as_ref();
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
        owner: Set(claim.map(|claim| claim.worker.0.clone())),
        lease_expires_at: Set(claim.map(|claim| after(now, claim.lease))),
        fence: Set(fence),
        next_attempt_at: Set(now),
        deadline_at: Set(deadline(now, request.timeout)),
        progress: Set(serde_json::to_value(progress).map_err(unwritable)?),
        created_at: Set(truncated(request.at)),
        updated_at: Set(now),
    })
}
