//! Claims of operations: one by its town or as many as are due, and the fence that excludes earlier holders.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{StoreError, WorkerId};
use gastown_domain::{Fence, Operation, OperationKind, Phase, RecordedOperation, TownId};
use sea_orm::sea_query::{
    Expr, ExprTrait as _, Func, JoinType, LockType, Order, Query, SelectStatement, WindowStatement,
};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter, QueryOrder as _,
    QueryResult, QuerySelect as _, QueryTrait as _, UpdateMany,
};
use uuid::Uuid;

use crate::calendar::after;
use crate::dialect::{self, skip_locked};
use crate::entity::gastown_operations::{self as operations, Column};
use crate::error::{TxError, store_error};
use crate::row::{each_readable, operation_of};

/// The time until an unreadable operation is read, and reported, again.
const POSTPONEMENT: Duration = Duration::from_secs(60);

/// The maximum number of times that due operations are listed because some of them were unreadable.
const MAX_LISTINGS: u32 = 8;

/// Claims the operation of a town if it is due and free.
pub(crate) async fn take_one(
    tx: &DatabaseTransaction,
    town: TownId,
    worker: &WorkerId,
    lease: Duration,
) -> Result<Option<Operation>, TxError> {
    let now = dialect::now(tx).await?;
    let claim = claim(worker, after(now, lease))
        .filter(Column::TownId.eq(town.as_uuid()))
        .filter(is_known())
        .filter(is_due(now))
        .filter(is_free(now));
    let claimed = claim.exec_with_returning(tx).await?;
    Ok(claimed.into_iter().next().map(operations::Model::into_known).transpose()?)
}

/// Claims up to `limit` operations that are due and free, in the order of [`fair_order`].
pub(crate) async fn take_due(
    tx: &DatabaseTransaction,
    worker: &WorkerId,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Operation>, TxError> {
    let now = dialect::now(tx).await?;
    let due = readable_due(tx, now, limit).await?;
    if due.is_empty() {
        return Ok(due);
    }
    let towns = due.iter().map(|operation| operation.town.as_uuid());
    claim(worker, after(now, lease)).filter(Column::TownId.is_in(towns)).exec(tx).await?;
    Ok(due.into_iter().map(|operation| Operation { fence: operation.fence + 1, ..operation }).collect())
}

/// Lists and locks due operations. Unreadable ones are postponed and do not count.
async fn readable_due(tx: &DatabaseTransaction, now: DateTime<Utc>, limit: u32) -> Result<Vec<Operation>, TxError> {
    let mut readable = Vec::new();
    for _ in 0..MAX_LISTINGS {
        readable.clear();
        let mut unreadable = Vec::new();
        for row in tx.query_all(&fair_order(now, limit)).await? {
            match operation_of(&row, operations::Model::into_known) {
                Ok(operation) => readable.push(operation),
                Err(error) => unreadable.push(log_unreadable(&row, &error)?),
            }
        }
        if unreadable.is_empty() {
            break;
        }
        postpone(tx, unreadable, after(now, POSTPONEMENT)).await?;
    }
    Ok(readable)
}

/// Logs an operation that cannot be read and returns its town.
fn log_unreadable(row: &QueryResult, error: &StoreError) -> Result<Uuid, TxError> {
    let town: Uuid = row.try_get("", "town_id")?;
    let error: &dyn std::error::Error = error;
    tracing::error!(town.id = %town, error, "failed to read operation, retry postponed");
    Ok(town)
}

async fn postpone(tx: &DatabaseTransaction, towns: Vec<Uuid>, until: DateTime<Utc>) -> Result<(), TxError> {
    let postponed = operations::Entity::update_many()
        .col_expr(Column::NextAttemptAt, Expr::value(until))
        .filter(Column::TownId.is_in(towns));
    postponed.exec(tx).await?;
    Ok(())
}

/// Lists operations of a newer version that are due and free. Writes nothing.
pub(crate) async fn left_to_newer(db: &impl ConnectionTrait, limit: u32) -> Result<Vec<RecordedOperation>, StoreError> {
    let now = dialect::now_plus(db.get_database_backend(), 0);
    let newer = operations::Entity::find()
        .filter(is_known().not())
        .filter(is_due(now.clone()))
        .filter(is_free(now))
        .order_by_asc(Column::NextAttemptAt)
        .limit(u64::from(limit))
        .into_query();
    let rows = db.query_all(&newer).await.map_err(store_error)?;
    Ok(each_readable::<operations::Entity, _, _>(&rows, operations::Model::into_operation))
}

/// Selects and locks operations that are due and free, skipping rows that another transaction has locked.
///
/// Users take turns, and operations already claimed for a user count as turns. Within a turn the longest due comes first.
fn fair_order(now: DateTime<Utc>, limit: u32) -> SelectStatement {
    let due = operations::Entity::find().filter(is_known()).filter(is_due(now)).filter(is_free(now));
    let mut due = due.into_query();
    let same_town = Expr::col((operations::Entity, Column::TownId)).equals(("turns", Column::TownId));
    // Postgres cannot lock rows of a query with window functions, so the turns are a subquery.
    due.join_subquery(JoinType::InnerJoin, turns(now), "turns", same_town)
        .order_by(("turns", "turn"), Order::Asc)
        .order_by((operations::Entity, Column::NextAttemptAt), Order::Asc)
        .order_by((operations::Entity, Column::TownId), Order::Asc)
        .limit(u64::from(limit));
    skip_locked(&mut due, LockType::Update, operations::Entity);
    due
}

/// Numbers the operations of each user, claimed ones first.
fn turns(now: DateTime<Utc>) -> SelectStatement {
    let window = WindowStatement::partition_by(Column::RequestedBy)
        .order_by_expr(is_free(now).into(), Order::Asc)
        .order_by(Column::NextAttemptAt, Order::Asc)
        .order_by(Column::TownId, Order::Asc)
        .take();
    Query::select()
        .column(Column::TownId)
        .expr_window_as(Func::cust("row_number"), window, "turn")
        .from(operations::Entity)
        .cond_where(Condition::any().add(is_due(now).add(is_known())).add(is_free(now).not()))
        .take()
}

/// Matches operations whose kind and phase this version knows. The others are left to a newer version (FM-59).
pub(crate) fn is_known() -> Condition {
    Condition::all()
        .add(Column::Kind.is_in(OperationKind::ALL.map(OperationKind::as_str)))
        .add(Column::Mark.is_in(Phase::ALL.map(Phase::as_str)))
}

pub(crate) fn is_due(now: impl Into<Expr>) -> Condition {
    Condition::all().add(Expr::col(Column::NextAttemptAt).lte(now))
}

/// Matches operations without a lease, or with an expired one.
pub(crate) fn is_free(now: impl Into<Expr>) -> Condition {
    Condition::any().add(Column::LeaseExpiresAt.is_null()).add(Expr::col(Column::LeaseExpiresAt).lte(now))
}

fn claim(worker: &WorkerId, expiry: DateTime<Utc>) -> UpdateMany<operations::Entity> {
    operations::Entity::update_many()
        .col_expr(Column::Owner, Expr::value(worker.0.as_str()))
        .col_expr(Column::LeaseExpiresAt, Expr::value(expiry))
        .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
}

/// Adds the release of the claim to an update.
pub(crate) fn released(update: UpdateMany<operations::Entity>) -> UpdateMany<operations::Entity> {
    update
        .col_expr(Column::Owner, Expr::value(Option::<String>::None))
        .col_expr(Column::LeaseExpiresAt, Expr::value(Option::<DateTime<Utc>>::None))
}

/// Matches the row if this claim is the latest. Each later claim or replacement raises the fencing number.
pub(crate) fn holds(fence: Fence) -> Condition {
    Condition::all()
        .add(Column::TownId.eq(fence.town.as_uuid()))
        .add(Column::Id.eq(fence.operation.as_uuid()))
        .add(Column::Fence.eq(fence.number))
}

/// Starts an update by the holder of this claim.
pub(crate) fn claimed(fence: Fence) -> UpdateMany<operations::Entity> {
    operations::Entity::update_many().filter(holds(fence))
}

/// Returns `Fenced` if an update of [`claimed`] matched no row.
pub(crate) fn fenced_unless(fence: Fence, is_held: bool) -> Result<(), StoreError> {
    if is_held { Ok(()) } else { Err(StoreError::Fenced { town: fence.town }) }
}
