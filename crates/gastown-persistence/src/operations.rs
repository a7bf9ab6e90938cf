use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{NewOperation, Operations, Outcome, Record, Requested, StoreError, TownChange, WorkerId};
use gastown_domain::{Fence, Operation, OperationId, TownId};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter, QueryOrder as _, QuerySelect as _,
    UpdateMany,
};

use crate::entity::gastown_operations::{self as operations, Column};
use crate::error::{Stop, unwritable};
use crate::events::{Event, outcome_of};
use crate::{Database, dialect, request, town_change};

#[async_trait]
impl Operations for Database {
    async fn request(&self, operation: &NewOperation) -> Result<Requested, StoreError> {
        self.in_tx("request_operation", move |tx| async move { request::decide(&tx, operation).await }).await
    }

    async fn current(&self, town: TownId) -> Result<Option<Operation>, StoreError> {
        let row = self.answer(operations::Entity::find_by_id(town.as_uuid()).one(&self.connection)).await?;
        row.map(operations::Model::into_operation).transpose()
    }

    async fn claim(&self, town: TownId, worker: &WorkerId, lease: Duration) -> Result<Option<Operation>, StoreError> {
        self.in_tx("claim_operation", move |tx| async move {
            let now = dialect::now(&*tx).await?;
            let claimed = operations::Entity::update_many()
                .col_expr(Column::Owner, Expr::value(worker.0.as_str()))
                .col_expr(Column::LeaseExpiresAt, Expr::value(after(now, lease)))
                .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
                .filter(Column::TownId.eq(town.as_uuid()))
                .filter(Column::NextAttemptAt.lte(now))
                .filter(lease_is_over(now))
                .exec_with_returning(&*tx)
                .await?;
            Ok(claimed.into_iter().next().map(operations::Model::into_operation).transpose()?)
        })
        .await
    }

    async fn due(&self, limit: u32) -> Result<Vec<TownId>, StoreError> {
        let found = async {
            let now = dialect::now(&self.connection).await?;
            let due = operations::Entity::find()
                .select_only()
                .column(Column::TownId)
                .filter(Column::NextAttemptAt.lte(now))
                .filter(lease_is_over(now))
                .order_by_asc(Column::NextAttemptAt)
                .limit(u64::from(limit));
            due.into_tuple::<uuid::Uuid>().all(&self.connection).await
        };
        Ok(self.answer(found).await?.into_iter().map(TownId::new).collect())
    }

    async fn renew(&self, fence: Fence, lease: Duration) -> Result<(), StoreError> {
        self.in_tx("renew_claim", move |tx| async move {
            let expiry = after(dialect::now(&*tx).await?, lease);
            held(fence, claimed(fence).col_expr(Column::LeaseExpiresAt, Expr::value(expiry)), &tx).await
        })
        .await
    }

    async fn record(&self, fence: Fence, record: &Record) -> Result<(), StoreError> {
        self.in_tx("record_step", move |tx| async move {
            let town = town_change::lock_for(&tx, fence.town, &record.town).await?;
            let now = dialect::now(&*tx).await?;
            let progress = serde_json::to_value(&record.progress).map_err(unwritable)?;
            let update = claimed(fence)
                .col_expr(Column::Kind, Expr::value(record.kind.as_str()))
                .col_expr(Column::Mark, Expr::value(record.mark.as_str()))
                .col_expr(Column::Step, Expr::value(record.step.as_str()))
                .col_expr(Column::Attempt, Expr::value(i64::from(record.attempt)))
                .col_expr(Column::LastError, Expr::value(record.last_error.map(gastown_domain::Failure::code)))
                .col_expr(Column::Cause, Expr::value(record.cause.map(gastown_domain::Failure::code)))
                .col_expr(Column::Progress, Expr::value(progress))
                .col_expr(Column::NextAttemptAt, Expr::value(after(now, record.wait)))
                .col_expr(Column::LeaseExpiresAt, Expr::value(after(now, record.lease)))
                .col_expr(Column::UpdatedAt, Expr::value(now));
            held(fence, update, &tx).await?;
            match town {
                Some(row) => town_change::apply(&tx, row, &record.town).await,
                None => Ok(()),
            }
        })
        .await
    }

    async fn release(&self, fence: Fence) -> Result<(), StoreError> {
        self.in_tx("release_claim", move |tx| async move {
            let update = claimed(fence)
                .col_expr(Column::Owner, Expr::value(Option::<String>::None))
                .col_expr(Column::LeaseExpiresAt, Expr::value(Option::<DateTime<Utc>>::None));
            held(fence, update, &tx).await
        })
        .await
    }

    async fn finish(&self, fence: Fence, outcome: Outcome, town: &TownChange) -> Result<(), StoreError> {
        self.in_tx("finish_operation", move |tx| async move {
            let row = town_change::lock_for(&tx, fence.town, town).await?;
            let now = dialect::now(&*tx).await?;
            let ended = operations::Entity::delete_many().filter(holds(fence)).exec_with_returning(&*tx).await?;
            let ended = ended.into_iter().next().ok_or(StoreError::Fenced { town: fence.town })?.into_operation()?;
            if let Some(row) = row {
                town_change::apply(&tx, row, town).await?;
            }
            Event::ended(&ended, outcome, now).record(&*tx).await
        })
        .await
    }

    async fn outcome(&self, operation: OperationId) -> Result<Option<Outcome>, StoreError> {
        self.answered(outcome_of(&self.connection, operation)).await
    }
}

/// Free, or run out.
fn lease_is_over(now: DateTime<Utc>) -> Condition {
    Condition::any().add(Column::LeaseExpiresAt.is_null()).add(Column::LeaseExpiresAt.lte(now))
}

/// The row as the holder of this claim left it. Anybody who claimed or replaced it since has raised the number.
fn holds(fence: Fence) -> Condition {
    Condition::all()
        .add(Column::TownId.eq(fence.town.as_uuid()))
        .add(Column::Id.eq(fence.operation.as_uuid()))
        .add(Column::Fence.eq(fence.number))
}

fn claimed(fence: Fence) -> UpdateMany<operations::Entity> {
    operations::Entity::update_many().filter(holds(fence))
}

async fn held(fence: Fence, update: UpdateMany<operations::Entity>, tx: &DatabaseTransaction) -> Result<(), Stop> {
    match update.exec(tx).await?.rows_affected {
        0 => Err(StoreError::Fenced { town: fence.town }.into()),
        _ => Ok(()),
    }
}

/// A time that a duration leads beyond the calendar stays where it was: such a lease is over at once.
fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now)
}
