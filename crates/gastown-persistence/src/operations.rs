use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{
    NewOperation, OperationResult, OperationUpdate, Operations, Requested, StoreError, TownChange, WorkerId,
};
use gastown_domain::{Fence, Operation, OperationId, Progress, Recorded, RecordedOperation, Town, TownId};
use sea_orm::sea_query::{Expr, Query, UpdateStatement};
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, IdenStatic as _, QueryFilter as _,
    QueryTrait as _, UpdateMany,
};

use crate::calendar::{after, lease_millis, storable_deadline};
use crate::claims::{claimed, fenced_unless, holds, left_to_newer, released, take_due, take_one, write};
use crate::entity::gastown_operations::{self as operations, Column};
use crate::error::{TxError, store_error, unwritable};
use crate::events::{CONTROL_PLANE, Event, outcome_of};
use crate::health::DriftEffect;
use crate::{Database, dialect, health, request, stranded, town_change};

#[async_trait]
impl Operations for Database {
    async fn request(&self, operation: &NewOperation) -> Result<Requested, StoreError> {
        self.in_tx("request_operation", move |tx| async move { request::of_owner(&tx, operation).await }).await
    }

    async fn current(&self, town: TownId) -> Result<Option<RecordedOperation>, StoreError> {
        let row = self.read(operations::Entity::find_by_id(town.as_uuid()).one(&self.connection)).await?;
        row.map(operations::Model::into_operation).transpose()
    }

    async fn claim(&self, town: TownId, worker: &WorkerId, lease: Duration) -> Result<Option<Operation>, StoreError> {
        self.in_tx("claim_operation", move |tx| async move { take_one(&tx, town, worker, lease).await }).await
    }

    async fn claim_due(&self, worker: &WorkerId, lease: Duration, limit: u32) -> Result<Vec<Operation>, StoreError> {
        self.in_tx("claim_due", move |tx| async move { take_due(&tx, worker, lease, limit).await }).await
    }

    async fn left_to_newer(&self, limit: u32) -> Result<Vec<RecordedOperation>, StoreError> {
        self.in_time(left_to_newer(&self.connection, limit)).await
    }

    async fn renew(&self, fence: Fence, lease: Duration) -> Result<DateTime<Utc>, StoreError> {
        let millis = lease_millis(lease);
        let renewal = &renewal(fence, dialect::now_plus(self.connection.get_database_backend(), millis));
        // All rows are read, because the first row arrives before the commit.
        let renewed = self.write_once("renew_claim", || self.connection.query_all(renewal)).await?;
        fenced_unless(fence, !renewed.is_empty())?;
        let expiry = renewed.iter().map(|row| row.try_get::<DateTime<Utc>>("", Column::LeaseExpiresAt.as_str()));
        let expiry = expiry.collect::<Result<Vec<_>, DbErr>>().map_err(store_error)?;
        let now = expiry.first().map(|expiry| *expiry - TimeDelta::milliseconds(millis));
        now.ok_or(StoreError::Fenced { town: fence.town })
    }

    async fn record(&self, fence: Fence, update: &OperationUpdate) -> Result<(), StoreError> {
        self.in_tx("record_step", move |tx| async move { record(&tx, fence, update).await }).await
    }

    async fn stranded(&self, limit: u32) -> Result<Vec<Town>, StoreError> {
        self.in_time(stranded::list(&self.connection, limit)).await
    }

    async fn reinstate(&self, operation: &NewOperation, progress: &Progress) -> Result<bool, StoreError> {
        self.in_tx("reinstate_town", move |tx| async move { stranded::reinstate(&tx, operation, progress).await }).await
    }

    async fn release(&self, fence: Fence) -> Result<(), StoreError> {
        let release = || released(claimed(fence)).exec(&self.connection);
        let released = self.write_once("release_claim", release).await?;
        fenced_unless(fence, released.rows_affected > 0)
    }

    async fn finish(&self, fence: Fence, outcome: OperationResult, town: &TownChange) -> Result<(), StoreError> {
        let outcome = &outcome;
        self.in_tx("finish_operation", move |tx| async move { finish(&tx, fence, outcome, town).await }).await
    }

    async fn outcome(&self, operation: OperationId) -> Result<Option<OperationResult>, StoreError> {
        self.in_time(outcome_of(&self.connection, operation)).await
    }
}

/// Returns the statement that renews a claim and returns its expiry.
fn renewal(fence: Fence, expiry: Expr) -> UpdateStatement {
    let mut renewal = claimed(fence).col_expr(Column::LeaseExpiresAt, expiry).into_query();
    renewal.returning(Query::returning().column(Column::LeaseExpiresAt));
    renewal
}

async fn record(tx: &DatabaseTransaction, fence: Fence, update: &OperationUpdate) -> Result<(), TxError> {
    let changes_town = update.town != TownChange::default();
    let town = if changes_town { Some(town_change::lock(tx, fence.town).await?) } else { None };
    let now = dialect::now(tx).await?;
    write(fence, leased(written(fence, update, now)?, update.hold, now), tx).await?;
    if let Some(row) = town {
        town_change::by_holder(tx, fence, row, &update.town, now).await?;
    }
    if update.town.soft_deleted_at.is_some() {
        health::operated_on(tx, fence.town, now, DriftEffect::Clear).await?;
    }
    Ok(())
}

fn written(
    fence: Fence,
    update: &OperationUpdate,
    now: DateTime<Utc>,
) -> Result<UpdateMany<operations::Entity>, TxError> {
    let progress = serde_json::to_value(&update.progress).map_err(unwritable)?;
    Ok(claimed(fence)
        .col_expr(Column::Kind, Expr::value(update.kind.as_str()))
        .col_expr(Column::Mark, Expr::value(update.phase.as_str()))
        .col_expr(Column::Step, Expr::value(update.step.as_ref().map(Recorded::as_str)))
        .col_expr(Column::Attempt, Expr::value(i64::from(update.attempt)))
        .col_expr(Column::LastError, Expr::value(update.last_error.as_ref().map(Recorded::as_str)))
        .col_expr(Column::Cause, Expr::value(update.cause.as_ref().map(Recorded::as_str)))
        .col_expr(Column::Progress, Expr::value(progress))
        .col_expr(Column::NextAttemptAt, Expr::value(after(now, update.wait)))
        .col_expr(Column::DeadlineAt, Expr::value(storable_deadline(update.deadline_at)))
        .col_expr(Column::UpdatedAt, Expr::value(now)))
}

/// Adds the renewal of the lease to an update, or its release.
fn leased(
    update: UpdateMany<operations::Entity>,
    hold: Option<Duration>,
    now: DateTime<Utc>,
) -> UpdateMany<operations::Entity> {
    match hold {
        Some(hold) => update.col_expr(Column::LeaseExpiresAt, Expr::value(after(now, hold))),
        None => released(update),
    }
}

async fn finish(
    tx: &DatabaseTransaction,
    fence: Fence,
    outcome: &OperationResult,
    town: &TownChange,
) -> Result<(), TxError> {
    let row = town_change::lock(tx, fence.town).await?;
    let now = dialect::now(tx).await?;
    let ended = operations::Entity::delete_many().filter(holds(fence)).exec_with_returning(tx).await?;
    let ended = ended.into_iter().next().ok_or(StoreError::Fenced { town: fence.town })?.into_operation()?;
    town_change::by_holder(tx, fence, row, town, now).await?;
    let is_new = health::operated_on(tx, fence.town, now, drift_effect(outcome, town)).await?;
    if let Some(drift) = town.drift.filter(|_| is_new) {
        Event::of(fence.town, CONTROL_PLANE, "drift", drift.as_str(), now).on(&ended).record(tx).await?;
    }
    Event::ended(&ended, outcome, now).record(tx).await
}

fn drift_effect(outcome: &OperationResult, town: &TownChange) -> DriftEffect {
    match town.drift {
        Some(drift) => DriftEffect::Confirm(drift),
        None if outcome.is_ok() || town.soft_deleted_at.is_some() => DriftEffect::Clear,
        None => DriftEffect::Keep,
    }
}
