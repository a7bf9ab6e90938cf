//! Health checks: towns are taken in batches under a mark, and results are written under that mark.
//!
//! These statements lock rows of `gastown_town_health` only, in the order of the towns, and never wait for a town's row.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{CheckNeed, FailedCheck, HealthBatch, HealthCheck, HealthChecks, HealthRecord, StoreError};
use gastown_domain::{Recorded, TownId, TownStatus};
use sea_orm::sea_query::{
    Expr, ExprTrait as _, InsertStatement, JoinType, LockType, OnConflict, Order, Query, SelectStatement,
};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _, Set,
};
use uuid::Uuid;

use crate::Database;
use crate::calendar::{after, truncated};
use crate::dialect::{self, skip_locked};
use crate::entity::gastown_town_health::{self as health, ActiveModel, Column};
use crate::entity::{gastown_operations as operations, gastown_towns as towns};
use crate::error::{TxError, store_error};
use crate::events::{Event, MONITOR, record_all};
use crate::row::{DueCheck, readable};

/// The columns that a result writes.
const RESULT: [Column; 7] = [
    Column::Failures,
    Column::Restarts,
    Column::WindowStartedAt,
    Column::State,
    Column::StateSince,
    Column::Reason,
    Column::NextCheckAt,
];

#[async_trait]
impl HealthChecks for Database {
    async fn enrol(&self, limit: u32) -> Result<u32, StoreError> {
        let forgotten = towns::Entity::find()
            .select_only()
            .column(towns::Column::Id)
            .left_join(health::Entity)
            .filter(towns::Column::DestroyedAt.is_null())
            .filter(towns::Column::Status.eq(TownStatus::Running.as_str()))
            .filter(Column::NextCheckAt.is_null())
            .order_by_asc(towns::Column::Id)
            .limit(u64::from(limit));
        let forgotten: Vec<Uuid> = self.read(forgotten.into_tuple().all(&self.connection)).await?;
        if forgotten.is_empty() {
            return Ok(0);
        }
        let forgotten = &forgotten;
        self.in_tx("enrol_for_health_checks", move |tx| async move { enrol(&tx, forgotten).await }).await
    }

    async fn take(&self, limit: u32, ahead: Duration, lease: Duration) -> Result<Option<HealthBatch>, StoreError> {
        self.in_tx("take_health_checks", move |tx| async move { take(&tx, limit, ahead, lease).await }).await
    }

    async fn record(&self, mark: DateTime<Utc>, records: &[HealthRecord]) -> Result<Vec<TownId>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let written =
            self.in_tx("record_health_checks", move |tx| async move { record(&tx, mark, records).await }).await?;
        for record in records {
            if record.is_news || record.health.failures > 0 {
                self.changed(record.town, Ok(()))?;
            }
        }
        Ok(written)
    }
}

/// Makes these towns due. Another replica may have done so meanwhile.
async fn enrol(tx: &DatabaseTransaction, forgotten: &[Uuid]) -> Result<u32, TxError> {
    let now = dialect::now(tx).await?;
    let rows = forgotten.iter().map(|town| ActiveModel {
        town_id: Set(*town),
        next_check_at: Set(Some(now)),
        ..ActiveModel::default()
    });
    let mut known = OnConflict::column(Column::TownId);
    let has_none = Expr::col((health::Entity, Column::NextCheckAt)).is_null();
    known.update_column(Column::NextCheckAt).action_cond_where(Condition::all().add(has_none));
    let insert = health::Entity::insert_many(rows).on_conflict(known);
    let enrolled = insert.exec_without_returning(tx).await.map_err(TxError::writing("gastown_town_health"))?;
    Ok(u32::try_from(enrolled).unwrap_or(u32::MAX))
}

async fn take(
    tx: &DatabaseTransaction,
    limit: u32,
    ahead: Duration,
    lease: Duration,
) -> Result<Option<HealthBatch>, TxError> {
    let now = dialect::now(tx).await?;
    let rows = tx.query_all(&due(after(now, ahead), limit)).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    if first.try_get::<DateTime<Utc>>("", "next_check_at")? > now {
        return Ok(None);
    }
    let ids = rows.iter().map(|row| row.try_get("", "town_id")).collect::<Result<Vec<Uuid>, _>>()?;
    let mark = after(now, lease);
    health::Entity::update_many()
        .col_expr(Column::NextCheckAt, Expr::value(mark))
        .filter(Column::TownId.is_in(ids))
        .exec(tx)
        .await?;
    let checks = readable(rows.iter().map(|row| check_of(DueCheck::of(row).map_err(store_error)?)));
    Ok(Some(HealthBatch { mark, taken_at: now, checks }))
}

/// Selects and locks the rows whose next check is at most at this time, without those that another transaction has locked.
///
/// A configuration may be large, so only the columns of a check are read.
fn due(until: DateTime<Utc>, limit: u32) -> SelectStatement {
    let is_busy = Query::select()
        .expr(Expr::value(1))
        .from(operations::Entity)
        .and_where(Expr::col((operations::Entity, operations::Column::TownId)).equals((health::Entity, Column::TownId)))
        .take();
    let same_town = Expr::col((towns::Entity, towns::Column::Id)).equals((health::Entity, Column::TownId));
    let mut due = Query::select();
    due.from(health::Entity)
        .columns([Column::TownId].into_iter().chain(RESULT).map(|column| (health::Entity, column)))
        .columns(
            [towns::Column::UserId, towns::Column::FlyMachineId, towns::Column::Status, towns::Column::DestroyedAt]
                .map(|column| (towns::Entity, column)),
        )
        .expr_as(Expr::exists(is_busy), "is_busy")
        .join(JoinType::InnerJoin, towns::Entity, same_town)
        .and_where(Expr::col((health::Entity, Column::NextCheckAt)).lte(until))
        .order_by((health::Entity, Column::NextCheckAt), Order::Asc)
        .limit(u64::from(limit));
    skip_locked(&mut due, LockType::NoKeyUpdate, health::Entity);
    due
}

fn check_of(due: DueCheck) -> Result<HealthCheck, StoreError> {
    let is_running = due.destroyed_at.is_none() && due.status == TownStatus::Running.as_str();
    let need = match (due.is_busy, is_running) {
        (true, _) => CheckNeed::Busy,
        (false, true) => CheckNeed::Check,
        (false, false) => CheckNeed::NotRunning,
    };
    due.into_check(need)
}

async fn record(
    tx: &DatabaseTransaction,
    mark: DateTime<Utc>,
    records: &[HealthRecord],
) -> Result<Vec<TownId>, TxError> {
    let written = tx.query_all(&outcomes(mark, records)).await.map_err(TxError::writing("gastown_town_health"))?;
    let written = written.iter().map(|row| row.try_get("", "town_id")).collect::<Result<Vec<Uuid>, _>>()?;
    let is_written: HashSet<_> = written.iter().copied().map(TownId::new).collect();
    if records.iter().any(|record| record.is_news && is_written.contains(&record.town)) {
        let now = dialect::now(tx).await?;
        record_all(tx, news_of(records, &is_written, now)).await?;
    }
    Ok(is_written.into_iter().collect())
}

/// Returns the statement that writes the outcomes of a batch, where the rows have this mark. It returns the written towns.
fn outcomes(mark: DateTime<Utc>, records: &[HealthRecord]) -> InsertStatement {
    let mut known = OnConflict::column(Column::TownId);
    let is_marked = Expr::col((health::Entity, Column::NextCheckAt)).eq(mark);
    known.update_columns(RESULT).action_cond_where(Condition::all().add(is_marked));
    let mut insert = health::Entity::insert_many(rows_of(records)).on_conflict(known).into_query();
    insert.returning(Query::returning().column(Column::TownId));
    insert
}

/// Returns the rows in the order of the towns, so that two statements with many rows do not wait for each other.
fn rows_of(records: &[HealthRecord]) -> Vec<ActiveModel> {
    let mut sorted: Vec<_> = records.iter().collect();
    sorted.sort_by_key(|record| record.town);
    sorted.into_iter().map(row_of).collect()
}

/// Returns the events of the news that were written.
fn news_of<'a>(records: &'a [HealthRecord], written: &HashSet<TownId>, now: DateTime<Utc>) -> Vec<Event<'a>> {
    let news = records.iter().filter(|record| record.is_news && written.contains(&record.town));
    news.map(|record| event_of(record, now)).collect()
}

fn row_of(record: &HealthRecord) -> ActiveModel {
    let HealthRecord { town, health, next_check_at, .. } = record;
    ActiveModel {
        town_id: Set(town.as_uuid()),
        failures: Set(i64::from(health.failures)),
        restarts: Set(i64::from(health.restarts)),
        window_started_at: Set(health.window_started_at.map(truncated)),
        state: Set(Some(health.state.to_string())),
        state_since: Set(health.since.map(truncated)),
        reason: Set(health.reason.as_ref().map(Recorded::to_string)),
        next_check_at: Set(next_check_at.map(truncated)),
        ..ActiveModel::default()
    }
}

fn event_of(record: &HealthRecord, now: DateTime<Utc>) -> Event<'_> {
    let reason = record.health.reason.as_ref().map(Recorded::as_str);
    Event::of(record.town, MONITOR, "health", record.health.state.as_str(), now).because(reason)
}

/// Counts a restart. Returns false if the town had an operation since the check.
pub(crate) async fn count_restart(tx: &DatabaseTransaction, town: TownId, check: FailedCheck) -> Result<bool, TxError> {
    let FailedCheck { count, next_check_at } = check;
    let counted = health::Entity::update_many()
        .col_expr(Column::Restarts, Expr::value(i64::from(count.restarts)))
        .col_expr(Column::WindowStartedAt, Expr::value(truncated(count.window_started_at)))
        .filter(Column::TownId.eq(town.as_uuid()))
        .filter(Column::NextCheckAt.eq(truncated(next_check_at)));
    Ok(counted.exec(tx).await?.rows_affected > 0)
}

#[cfg(test)]
mod tests {
    use gastown_domain::Health;

    use super::*;
    use crate::dialect::tests::{conflicts_on_sqlite, plans, plans_on_many_towns};

    #[tokio::test]
    async fn batches_find_their_rows_by_primary_key() {
        let record = |id| HealthRecord {
            town: TownId::new(Uuid::from_u128(id)),
            health: Health::default(),
            is_news: false,
            next_check_at: None,
        };
        let records = [record(1), record(2)];
        let written = || outcomes(DateTime::UNIX_EPOCH, &records);
        let [postgres, sqlite] = plans_on_many_towns(|backend| backend.build(&written())).await;
        assert!(postgres.contains("Conflict Arbiter Indexes: gastown_town_health_pkey"), "{postgres}");
        assert!(!sqlite.contains("gastown"), "nothing is scanned: {sqlite}");
        let looked_up = conflicts_on_sqlite(sea_orm::DbBackend::Sqlite.build(&written())).await;
        assert!(looked_up > 0, "rows are looked up by the index of the key");
    }

    #[tokio::test]
    async fn due_towns_are_found_by_an_index() {
        let until = DateTime::UNIX_EPOCH;
        for plan in plans(&due(until, 1000)).await {
            assert!(plan.contains("gastown_town_health_next_check_at_idx"), "{plan}");
        }
    }
}
