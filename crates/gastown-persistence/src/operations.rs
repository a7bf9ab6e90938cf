use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::{
    FailedCheck, NewOperation, OperationResult, OperationUpdate, Operations, Requested, StoreError, TownChange,
    WorkerId,
};
use gastown_domain::{
    Fence, IdleVerdict, Operation, OperationId, Progress, Recorded, RecordedOperation, Town, TownId, UserId,
};
use sea_orm::sea_query::{Expr, Query, UpdateStatement};
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, EntityTrait as _, IdenStatic as _, QueryFilter as _,
    QueryTrait as _, UpdateMany,
};

use crate::calendar::{lease_millis, storable_deadline};
use crate::claims::{claimed, fenced_unless, holds, left_to_newer, released, take_due, take_one};
use crate::entity::gastown_operations::{self as operations, Column};
use crate::error::{TxError, store_error, unwritable};
use crate::events::{CONTROL_PLANE, Event, outcome_of, record_all};
use crate::health::{DriftEffect, Effects, IdleStopEffect};
use crate::town_change::LostIds;
use crate::{Database, dialect, health, idle, request, restart, stranded, town_change};

#[async_trait]
impl Operations for Database {
    async fn request(&self, operation: &NewOperation) -> Result<Requested, StoreError> {
        let requested =
            self.in_tx("request_operation", move |tx| async move { request::of_owner(&tx, operation).await });
        self.changed(operation.town, requested.await)
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

    async fn record(&self, fence: Fence, update: &OperationUpdate) -> Result<DateTime<Utc>, StoreError> {
        let recorded = self.in_tx("record_step", move |tx| async move { record(&tx, fence, update).await });
        self.changed(fence.town, recorded.await)
    }

    async fn stranded(&self, limit: u32) -> Result<Vec<Town>, StoreError> {
        self.in_time(stranded::list(&self.connection, limit)).await
    }

    async fn reinstate(&self, operation: &NewOperation, progress: &Progress) -> Result<bool, StoreError> {
        self.in_tx("reinstate_town", move |tx| async move { stranded::reinstate(&tx, operation, progress).await }).await
    }

    async fn restart(
        &self,
        operation: &NewOperation,
        progress: &Progress,
        check: Option<FailedCheck>,
    ) -> Result<bool, StoreError> {
        let accepted =
            self.in_tx("restart_town", move |tx| async move { restart::accept(&tx, operation, progress, check).await });
        self.changed(operation.town, accepted.await)
    }

    async fn idle_towns(&self, limit: u32) -> Result<Vec<(TownId, UserId)>, StoreError> {
        self.in_time(idle::list(&self.connection, limit)).await
    }

    async fn stop_idle(&self, operation: &NewOperation) -> Result<IdleVerdict, StoreError> {
        let judged = self.in_tx("stop_idle_town", move |tx| async move { idle::stop(&tx, operation).await });
        self.changed(operation.town, judged.await)
    }

    async fn release(&self, fence: Fence) -> Result<(), StoreError> {
        let release = || released(claimed(fence)).exec(&self.connection);
        let released = self.write_once("release_claim", release).await?;
        fenced_unless(fence, released.rows_affected > 0)
    }

    async fn finish(
        &self,
        operation: &Operation,
        outcome: OperationResult,
        town: &TownChange,
    ) -> Result<Town, StoreError> {
        let outcome = &outcome;
        let finished =
            self.in_tx("finish_operation", move |tx| async move { finish(&tx, operation, outcome, town).await });
        self.changed(operation.town, finished.await)
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

/// Writes an update. The town's row is locked or changed first, as everywhere.
async fn record(tx: &DatabaseTransaction, fence: Fence, update: &OperationUpdate) -> Result<DateTime<Utc>, TxError> {
    let change = &update.town;
    let is_changed = *change == TownChange::default() || town_change::adopt(tx, fence.town, change).await?.is_some();
    let town = if is_changed { None } else { Some(town_change::lock(tx, fence.town).await?) };
    let mut written = written(tx.get_database_backend(), fence, update)?.into_query();
    written.returning(Query::returning().column(Column::UpdatedAt));
    let row = tx.query_all(&written).await?.into_iter().next().ok_or(StoreError::Fenced { town: fence.town })?;
    let now: DateTime<Utc> = row.try_get("", Column::UpdatedAt.as_str())?;
    if let Some(row) = town {
        let (_, lost) = town_change::by_holder(tx, row, change).await?;
        record_all(tx, lost.events(fence, now)).await?;
    }
    if change.soft_deleted_at.is_some() {
        let given = Progress::default();
        let effects = Effects { drift: DriftEffect::Clear, idle_stop: IdleStopEffect::Clear, given: &given };
        health::operated_on(tx, fence.town, now, effects).await?;
    }
    Ok(now)
}

/// Returns the update of the operation's row. Its times are those of the database.
fn written(
    backend: DbBackend,
    fence: Fence,
    update: &OperationUpdate,
) -> Result<UpdateMany<operations::Entity>, TxError> {
    let progress = serde_json::to_value(&update.progress).map_err(unwritable)?;
    let after = |wait| dialect::now_plus(backend, lease_millis(wait));
    let written = claimed(fence)
        .col_expr(Column::Kind, Expr::value(update.kind.as_str()))
        .col_expr(Column::Mark, Expr::value(update.phase.as_str()))
        .col_expr(Column::Step, Expr::value(update.step.as_ref().map(Recorded::as_str)))
        .col_expr(Column::Attempt, Expr::value(i64::from(update.attempt)))
        .col_expr(Column::LastError, Expr::value(update.last_error.as_ref().map(Recorded::as_str)))
        .col_expr(Column::Cause, Expr::value(update.cause.as_ref().map(Recorded::as_str)))
        .col_expr(Column::Progress, Expr::value(progress))
        .col_expr(Column::NextAttemptAt, after(update.wait))
        .col_expr(Column::DeadlineAt, Expr::value(storable_deadline(update.deadline_at)))
        .col_expr(Column::UpdatedAt, after(Duration::ZERO));
    Ok(match update.hold {
        Some(hold) => written.col_expr(Column::LeaseExpiresAt, after(hold)),
        None => released(written),
    })
}

async fn finish(
    tx: &DatabaseTransaction,
    operation: &Operation,
    outcome: &OperationResult,
    change: &TownChange,
) -> Result<Town, TxError> {
    let fence = operation.fence();
    let adopted = town_change::adopt(tx, fence.town, change).await?;
    let locked = if adopted.is_some() { None } else { Some(town_change::lock(tx, fence.town).await?) };
    let now = delete(tx, fence).await?;
    let was_tombstone = locked.as_ref().is_some_and(|row| row.destroyed_at.is_some());
    let (town, lost) = match (adopted, locked) {
        (Some(town), _) => (town, LostIds::default()),
        (None, Some(row)) => town_change::by_holder(tx, row, change).await?,
        (None, None) => return Err(StoreError::TownNotFound.into()),
    };
    // The health of a tombstone was cleared when it became one.
    let ended = RecordedOperation::from(operation.clone());
    let effects = Effects {
        drift: drift_effect(outcome, change),
        idle_stop: idle_stop_effect(outcome, &ended),
        given: &operation.progress,
    };
    let is_new = !was_tombstone && health::operated_on(tx, fence.town, now, effects).await?;
    let drift = change
        .drift
        .filter(|_| is_new)
        .map(|drift| Event::of(fence.town, CONTROL_PLANE, "drift", drift.as_str(), now).on(&ended));
    record_all(tx, lost.events(fence, now).chain(drift).chain([Event::ended(&ended, outcome, now)])).await?;
    Ok(town)
}

/// Deletes the row of a claimed operation and returns the database's time.
async fn delete(tx: &DatabaseTransaction, fence: Fence) -> Result<DateTime<Utc>, TxError> {
    let now = dialect::now_plus(tx.get_database_backend(), 0);
    let mut delete = operations::Entity::delete_many().filter(holds(fence)).into_query();
    delete.returning(Query::returning().exprs([now]));
    let deleted = tx.query_all(&delete).await?;
    let row = deleted.into_iter().next().ok_or(StoreError::Fenced { town: fence.town })?;
    Ok(row.try_get_by_index(0)?)
}

fn idle_stop_effect(outcome: &OperationResult, operation: &RecordedOperation) -> IdleStopEffect {
    match outcome {
        Ok(()) if operation.is_idle_stop() => IdleStopEffect::Set,
        Ok(()) => IdleStopEffect::Clear,
        Err(_) => IdleStopEffect::Keep,
    }
}

fn drift_effect(outcome: &OperationResult, town: &TownChange) -> DriftEffect {
    match town.drift {
        Some(drift) => DriftEffect::Confirm(drift),
        None if outcome.is_ok() || town.soft_deleted_at.is_some() => DriftEffect::Clear,
        None => DriftEffect::Keep,
    }
}
