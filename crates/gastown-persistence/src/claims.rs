//! Who drives what: claims of operations, one by its town or as many as are due, and the fence that holds against
//! everybody else.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{StoreError, WorkerId};
use gastown_domain::{Fence, Operation, TownId};
use sea_orm::sea_query::{
    Expr, ExprTrait as _, Func, JoinType, LockType, Order, Query, SelectStatement, WindowStatement,
};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter, QueryResult,
    QueryTrait as _, UpdateMany,
};
use uuid::Uuid;

use crate::calendar::after;
use crate::dialect::{self, pass_over_locked};
use crate::entity::gastown_operations::{self as operations, Column};
use crate::error::Stop;
use crate::row::decoded;

/// How long an operation that cannot be read is left alone before it is looked at, and complained about, again.
const PUT_OFF: Duration = Duration::from_secs(60);

/// How often the due are listed anew because some of them could not be read.
const LOOKS: u32 = 8;

/// Takes the operation of a town, where it is due and free.
pub(crate) async fn take_one(
    tx: &DatabaseTransaction,
    town: TownId,
    worker: &WorkerId,
    lease: Duration,
) -> Result<Option<Operation>, Stop> {
    let now = dialect::now(tx).await?;
    let claim = claim(worker, after(now, lease))
        .filter(Column::TownId.eq(town.as_uuid()))
        .filter(is_due(now))
        .filter(is_free(now));
    let claimed = claim.exec_with_returning(tx).await?;
    Ok(claimed.into_iter().next().map(operations::Model::into_operation).transpose()?)
}

/// Takes up to so many operations that are due and free, in the order of [`by_turns`].
pub(crate) async fn take_due(
    tx: &DatabaseTransaction,
    worker: &WorkerId,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Operation>, Stop> {
    let now = dialect::now(tx).await?;
    let due = readable_due(tx, now, limit).await?;
    if due.is_empty() {
        return Ok(due);
    }
    let towns = due.iter().map(|operation| operation.town.as_uuid());
    claim(worker, after(now, lease)).filter(Column::TownId.is_in(towns)).exec(tx).await?;
    Ok(due.into_iter().map(|operation| Operation { fence: operation.fence + 1, ..operation }).collect())
}

/// Lists and locks what is due. What cannot be read is put off and does not count.
async fn readable_due(tx: &DatabaseTransaction, now: DateTime<Utc>, limit: u32) -> Result<Vec<Operation>, Stop> {
    let mut readable = Vec::new();
    for _ in 0..LOOKS {
        readable.clear();
        let mut unreadable = Vec::new();
        for row in tx.query_all(&by_turns(now, limit)).await? {
            match read(&row) {
                Ok(operation) => readable.push(operation),
                Err(error) => {
                    let town: Uuid = row.try_get("", "town_id")?;
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(town.id = %town, error, "an operation cannot be read; it is put off");
                    unreadable.push(town);
                }
            }
        }
        if unreadable.is_empty() {
            break;
        }
        let put_off = operations::Entity::update_many()
            .col_expr(Column::NextAttemptAt, Expr::value(after(now, PUT_OFF)))
            .filter(Column::TownId.is_in(unreadable));
        put_off.exec(tx).await?;
    }
    Ok(readable)
}

/// A row at a time: one that cannot be decoded must not take the others along.
fn read(row: &QueryResult) -> Result<Operation, StoreError> {
    decoded::<operations::Entity, operations::Model>(row, "")?.into_operation()
}

/// What is due and free, locked; rows that somebody else has locked are passed over. Users take turns, what is being
/// driven for a user counting as turns it had; of equal turns the longest due comes first.
fn by_turns(now: DateTime<Utc>, limit: u32) -> SelectStatement {
    // Postgres locks no rows that it has numbered: they are numbered apart.
    let window = WindowStatement::partition_by(Column::RequestedBy)
        .order_by_expr(is_free(now).into(), Order::Asc)
        .order_by(Column::NextAttemptAt, Order::Asc)
        .order_by(Column::TownId, Order::Asc)
        .take();
    let turns = Query::select()
        .column(Column::TownId)
        .expr_window_as(Func::cust("row_number"), window, "turn")
        .from(operations::Entity)
        .cond_where(Condition::any().add(is_due(now)).add(is_free(now).not()))
        .take();
    let mut due = operations::Entity::find().filter(is_due(now)).filter(is_free(now)).into_query();
    let same_town = Expr::col((operations::Entity, Column::TownId)).equals(("turns", Column::TownId));
    due.join_subquery(JoinType::InnerJoin, turns, "turns", same_town)
        .order_by(("turns", "turn"), Order::Asc)
        .order_by((operations::Entity, Column::NextAttemptAt), Order::Asc)
        .order_by((operations::Entity, Column::TownId), Order::Asc)
        .limit(u64::from(limit));
    pass_over_locked(&mut due, LockType::Update, operations::Entity);
    due
}

fn is_due(now: DateTime<Utc>) -> Condition {
    Condition::all().add(Column::NextAttemptAt.lte(now))
}

/// Claimed by nobody, or the lease has run out.
fn is_free(now: DateTime<Utc>) -> Condition {
    Condition::any().add(Column::LeaseExpiresAt.is_null()).add(Column::LeaseExpiresAt.lte(now))
}

fn claim(worker: &WorkerId, expiry: DateTime<Utc>) -> UpdateMany<operations::Entity> {
    operations::Entity::update_many()
        .col_expr(Column::Owner, Expr::value(worker.0.as_str()))
        .col_expr(Column::LeaseExpiresAt, Expr::value(expiry))
        .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
}

/// Gives the claim back, whatever else is written.
pub(crate) fn given_back(update: UpdateMany<operations::Entity>) -> UpdateMany<operations::Entity> {
    update
        .col_expr(Column::Owner, Expr::value(Option::<String>::None))
        .col_expr(Column::LeaseExpiresAt, Expr::value(Option::<DateTime<Utc>>::None))
}

/// The row as the holder of this claim left it. Anybody who claimed or replaced it since has raised the number.
pub(crate) fn holds(fence: Fence) -> Condition {
    Condition::all()
        .add(Column::TownId.eq(fence.town.as_uuid()))
        .add(Column::Id.eq(fence.operation.as_uuid()))
        .add(Column::Fence.eq(fence.number))
}

/// A write of the holder of this claim.
pub(crate) fn claimed(fence: Fence) -> UpdateMany<operations::Entity> {
    operations::Entity::update_many().filter(holds(fence))
}

/// Carries it out, or tells that the claim was lost.
pub(crate) async fn write(
    fence: Fence,
    update: UpdateMany<operations::Entity>,
    tx: &DatabaseTransaction,
) -> Result<(), Stop> {
    match update.exec(tx).await?.rows_affected {
        0 => Err(StoreError::Fenced { town: fence.town }.into()),
        _ => Ok(()),
    }
}
