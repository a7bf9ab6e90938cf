//! Idle stops: the use of towns, the list of those that may be idle, and the stop, which reads every fact again under locks.
//!
//! `gastown_town_health` has the facts. A use is recorded without the lock of the town's row, so the stop locks both rows.

use gastown_domain::ports::{NewOperation, StoreError};
use gastown_domain::{
    HealthState, IdleFacts, IdleMinutes, IdleStop, IdleVerdict, Phase, Progress, REPORT_IS_STALE_AFTER, Recorded,
    RigStatus, Town, TownId, USE_COUNTS_FOR, UserId, judge_idle,
};
use sea_orm::sea_query::{
    Expr, ExprTrait as _, InsertStatement, IntoColumnRef, JoinType, OnConflict, Order, Query, SelectStatement,
};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait as _, IdenStatic as _,
    PaginatorTrait as _, QueryFilter as _, Set,
};
use uuid::Uuid;

use crate::dialect::{self, locked};
use crate::entity::gastown_town_health::{self as health, ActiveModel, Column};
use crate::entity::{gastown_operations as operations, gastown_rigs as rigs, gastown_towns as towns};
use crate::error::{TxError, store_error, unwritable};
use crate::events::{Event, IDLE};
use crate::request;
use crate::town_queries::has_operation;

/// Lists towns that may be idle. The query only narrows: the stop judges each town again.
pub(crate) async fn list(db: &impl ConnectionTrait, limit: u32) -> Result<Vec<(TownId, UserId)>, StoreError> {
    let rows = db.query_all(&candidates(db.get_database_backend(), limit)).await.map_err(store_error)?;
    let town = |row: &sea_orm::QueryResult| -> Option<(TownId, UserId)> {
        let id: Uuid = row.try_get("", Column::TownId.as_str()).ok()?;
        let owner: String = row.try_get("", towns::Column::UserId.as_str()).ok()?;
        Some((TownId::new(id), owner.parse().ok()?))
    };
    Ok(rows.iter().filter_map(town).collect())
}

/// Selects in random order, so that replicas take different towns and none that stays delays the others. Only a running town is
/// idle since a time, so its row of towns is only read for its owner.
fn candidates(backend: DbBackend, limit: u32) -> SelectStatement {
    let stale = i64::try_from(REPORT_IS_STALE_AFTER.as_millis()).unwrap_or(i64::MAX);
    let health = |column: Column| Expr::col((health::Entity, column));
    let operation = Query::select()
        .expr(Expr::value(1))
        .from(operations::Entity)
        .and_where(Expr::col((operations::Entity, operations::Column::TownId)).equals((health::Entity, Column::TownId)))
        .take();
    let mut idle = Query::select();
    idle.from(health::Entity)
        .column((health::Entity, Column::TownId))
        .column((towns::Entity, towns::Column::UserId))
        .join(
            JoinType::InnerJoin,
            towns::Entity,
            Expr::col((towns::Entity, towns::Column::Id)).equals((health::Entity, Column::TownId)),
        )
        .and_where(health(Column::IdleStopMinutes).is_not_null())
        .and_where(health(Column::IdleSince).is_not_null())
        .and_where(dialect::is_minutes_ago(backend, "idle_since", "idle_stop_minutes"))
        .and_where(dialect::is_minutes_ago(backend, "last_user_call_at", "idle_stop_minutes"))
        .and_where(health(Column::ActivePolecats).eq(0))
        .and_where(health(Column::HeardAt).gte(dialect::now_plus(backend, -stale)))
        .and_where(health(Column::State).eq(HealthState::Healthy.as_str()))
        .and_where(health(Column::Drift).is_null())
        .and_where(Expr::exists(operation).not())
        .and_where(Expr::exists(unapplied_rigs()).not())
        .order_by_expr(Expr::cust("random()"), Order::Asc)
        .limit(u64::from(limit));
    idle
}

fn unapplied_rigs() -> SelectStatement {
    Query::select()
        .expr(Expr::value(1))
        .from(rigs::Entity)
        .and_where(Expr::col((rigs::Entity, rigs::Column::TownId)).equals((health::Entity, Column::TownId)))
        .and_where(Expr::col((rigs::Entity, rigs::Column::Status)).ne(RigStatus::Active.as_str()))
        .take()
}

/// Inserts the stop of a town, if it is idle by what is read here.
pub(crate) async fn stop(tx: &DatabaseTransaction, operation: &NewOperation) -> Result<IdleVerdict, TxError> {
    let live = towns::Entity::find_by_id(operation.town.as_uuid()).filter(towns::Column::DestroyedAt.is_null());
    // This lock excludes operations, rigs, heartbeats and configurations, and the next one the record of a use.
    let Some(town) = locked(live).one(tx).await? else { return Ok(NO_TOWN) };
    let facts = facts(tx, &town.into_town()?).await?;
    let verdict = judge_idle(&facts, dialect::now(tx).await?);
    if let IdleVerdict::Idle { since } = verdict {
        let progress = Progress { idle_since: Some(since), ..Progress::default() };
        let progress = progress.requested_by(IDLE, &operation.requested_by);
        let operation = request::insert(tx, operation, Phase::Begun, &progress).await?;
        Event::accepted(&operation).record(tx).await?;
    }
    Ok(verdict)
}

/// The verdict on a town that is destroyed.
const NO_TOWN: IdleVerdict = IdleVerdict::Keep(gastown_domain::KeepReason::NotRunning);

async fn facts(tx: &DatabaseTransaction, town: &Town) -> Result<IdleFacts, TxError> {
    let id = town.id.as_uuid();
    let health = locked(health::Entity::find_by_id(id)).one(tx).await?;
    let has_operation = has_operation(tx, town.id).await?;
    let unapplied = rigs::Entity::find()
        .filter(rigs::Column::TownId.eq(id))
        .filter(rigs::Column::Status.ne(RigStatus::Active.as_str()));
    let has_unapplied_rigs = unapplied.count(tx).await? > 0;
    let known = health.as_ref();
    Ok(IdleFacts {
        stop_after: town.config.idle_stop_minutes,
        status: town.status,
        has_operation,
        has_unapplied_rigs,
        has_drift: known.is_some_and(|health| health.drift.is_some()),
        health: known.and_then(|health| health.state.as_deref()).map(Recorded::read).unwrap_or_default(),
        used_at: known.and_then(|health| health.last_user_call_at),
        heard_at: known.and_then(|health| health.heard_at),
        active_polecats: known.and_then(|health| u32::try_from(health.active_polecats?).ok()),
        idle_since: known.and_then(|health| health.idle_since),
    })
}

/// Returns the statement that records a use of a town, unless a later one is recorded.
pub(crate) fn use_of(backend: DbBackend, town: TownId, minutes: IdleMinutes) -> Result<InsertStatement, StoreError> {
    let own = |column: Column| Expr::col((health::Entity, column));
    let given = |column: Column| Expr::col(("excluded", column).into_column_ref());
    let is_news = Condition::any()
        .add(own(Column::LastUserCallAt).is_null())
        .add(own(Column::LastUserCallAt).lt(given(Column::LastUserCallAt)))
        .add(own(Column::IdleStopMinutes).is_null());
    let mut known = OnConflict::column(Column::TownId);
    known.update_columns([Column::IdleStopMinutes, Column::LastUserCallAt]).action_cond_where(is_news);
    let mut insert = Query::insert();
    insert
        .into_table(health::Entity)
        .columns([Column::TownId, Column::IdleStopMinutes, Column::LastUserCallAt])
        .values([Expr::value(town.as_uuid()), Expr::value(i64::from(minutes.get())), dialect::now_plus(backend, 0)])
        .map_err(unwritable)?
        .on_conflict(known);
    Ok(insert)
}

/// Writes the searchable copy of a setting. Turning it on, or changing it, is a use of the town.
pub(crate) async fn set(tx: &DatabaseTransaction, town: TownId, minutes: Option<IdleMinutes>) -> Result<(), TxError> {
    let now = dialect::now(tx).await?;
    let row = ActiveModel {
        town_id: Set(town.as_uuid()),
        idle_stop_minutes: Set(minutes.map(|minutes| i64::from(minutes.get()))),
        last_user_call_at: Set(Some(now)),
        ..ActiveModel::default()
    };
    let known =
        OnConflict::column(Column::TownId).update_columns([Column::IdleStopMinutes, Column::LastUserCallAt]).to_owned();
    let insert = health::Entity::insert(row).on_conflict(known);
    insert.exec_without_returning(tx).await.map(|_| ()).map_err(TxError::writing("gastown_town_health"))
}

/// Returns the idle stop of a locked town, in flight or ended.
pub(crate) async fn stop_of(tx: &DatabaseTransaction, town: &Town) -> Result<Option<IdleStop>, TxError> {
    let operation = operations::Entity::find_by_id(town.id.as_uuid()).one(tx).await?;
    let operation = operation.map(operations::Model::into_operation).transpose()?;
    let health = health::Entity::find_by_id(town.id.as_uuid()).one(tx).await?;
    let stopped_at = health.and_then(|health| health.idle_stopped_at);
    // While any other operation is in flight, the town is not left to be started.
    let is_free = operation.as_ref().is_none_or(gastown_domain::RecordedOperation::is_idle_stop);
    Ok(IdleStop::of(town.status, operation.as_ref(), stopped_at).filter(|_| is_free))
}

/// Returns the SQL that is 1 if a recorded use stands for a present one. `alias` is that of the town's health.
pub(crate) fn use_is_recorded(backend: DbBackend, alias: &str) -> String {
    let millis = i64::try_from(USE_COUNTS_FOR.as_millis()).unwrap_or(i64::MAX);
    let since = dialect::now_plus_sql(backend, -millis);
    // The copy of the setting is part of the record, and an older version does not write it.
    format!("CASE WHEN {alias}.last_user_call_at > {since} AND {alias}.idle_stop_minutes IS NOT NULL THEN 1 ELSE 0 END")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::tests::plans_of;

    #[tokio::test]
    async fn idle_towns_are_found_by_their_index() {
        for plan in plans_of(|backend| backend.build(&candidates(backend, 100))).await {
            assert!(plan.contains("gastown_town_health_idle_since_idx"), "{plan}");
        }
    }
}
