//! The reports of sandboxes: heartbeats in batches, and the expiry of their tokens.
//!
//! The rows of live towns are locked first, in the order of their ids, so two batches never wait for each other. What is no
//! live town any more is not written.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use gastown_domain::{Heartbeat, REPORT_IS_STALE_AFTER, TownId};
use sea_orm::sea_query::{
    CaseStatement, Expr, ExprTrait as _, InsertStatement, IntoColumnRef, OnConflict, Query, UpdateStatement,
};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Set,
};
use uuid::Uuid;

use crate::calendar::truncated;
use crate::dialect::{self, locked};
use crate::entity::gastown_town_health::{self as health, ActiveModel, Column};
use crate::entity::gastown_towns as towns;
use crate::error::TxError;

/// The columns that a heartbeat replaces.
const REPORT: [Column; 5] =
    [Column::LastReportAt, Column::GtRunning, Column::DoltRunning, Column::ActivePolecats, Column::DiskUsedBytes];

/// Records heartbeats. Returns the towns that live.
pub(crate) async fn record(tx: &DatabaseTransaction, heartbeats: &[Heartbeat]) -> Result<Vec<TownId>, TxError> {
    let live = live(tx, heartbeats.iter().map(|beat| beat.town)).await?;
    let by_town: HashMap<Uuid, &Heartbeat> = heartbeats.iter().map(|beat| (beat.town.as_uuid(), beat)).collect();
    let rows: Vec<_> =
        live.iter().filter_map(|(town, created_at)| by_town.get(town).map(|beat| row_of(beat, *created_at))).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let written = reports(tx.get_database_backend(), rows);
    tx.execute(&written).await.map_err(TxError::writing("gastown_town_health"))?;
    let towns: Vec<Uuid> = live.into_iter().map(|(town, _)| town).collect();
    tx.execute(&shown(&towns)).await?;
    Ok(towns.into_iter().map(TownId::new).collect())
}

/// Returns the statement that writes the reports of a batch.
fn reports(backend: DbBackend, rows: Vec<ActiveModel>) -> InsertStatement {
    health::Entity::insert_many(rows).on_conflict(unless_newer(backend)).into_query()
}

/// Records the expiry of a token. Returns false if there is no such live town.
pub(crate) async fn record_token(
    tx: &DatabaseTransaction,
    town: TownId,
    expires_at: DateTime<Utc>,
) -> Result<bool, TxError> {
    if live(tx, [town]).await?.is_empty() {
        return Ok(false);
    }
    let row = ActiveModel {
        town_id: Set(town.as_uuid()),
        token_expires_at: Set(Some(truncated(expires_at))),
        ..ActiveModel::default()
    };
    let mut known = OnConflict::column(Column::TownId);
    known.value(Column::TokenExpiresAt, later(own(Column::TokenExpiresAt), given(Column::TokenExpiresAt)));
    let insert = health::Entity::insert(row).on_conflict(known);
    insert.exec_without_returning(tx).await.map_err(TxError::writing("gastown_town_health"))?;
    Ok(true)
}

/// Locks the live ones of these towns, and returns their ids with the times of their creation.
async fn live(
    tx: &DatabaseTransaction,
    towns: impl IntoIterator<Item = TownId>,
) -> Result<Vec<(Uuid, DateTime<Utc>)>, TxError> {
    let ids: Vec<Uuid> = towns.into_iter().map(TownId::as_uuid).collect();
    let live = towns::Entity::find()
        .select_only()
        .columns([towns::Column::Id, towns::Column::CreatedAt])
        .filter(towns::Column::Id.is_in(ids))
        .filter(towns::Column::DestroyedAt.is_null())
        .order_by_asc(towns::Column::Id);
    Ok(locked(live).into_tuple().all(tx).await?)
}

/// Returns the row of a heartbeat. A sync from before the town was created is none.
fn row_of(beat: &Heartbeat, created_at: DateTime<Utc>) -> ActiveModel {
    let Heartbeat { town, received_at, report, synced_at, is_idle } = beat;
    ActiveModel {
        town_id: Set(town.as_uuid()),
        last_report_at: Set(Some(truncated(*received_at))),
        gt_running: Set(report.gt_running),
        dolt_running: Set(report.dolt_running),
        active_polecats: Set(report.active_polecats.map(i64::from)),
        disk_used_bytes: Set(report.disk_used_bytes.and_then(|bytes| i64::try_from(bytes).ok())),
        reported_sync_at: Set(synced_at.filter(|at| *at >= created_at).map(truncated)),
        // Only tells that the town is idle. The time in the row that exists is by the database's clock.
        idle_since: Set(is_idle.then(|| truncated(*received_at))),
        ..ActiveModel::default()
    }
}

/// Replaces a report, unless it is newer. A sync that was reported once is kept.
///
/// A row that is inserted here has no time of its last report by the database's clock yet, so its town is not idle.
fn unless_newer(backend: DbBackend) -> OnConflict {
    let mut known = OnConflict::column(Column::TownId);
    let last = || own(Column::LastReportAt);
    let is_older = Condition::any().add(last().is_null()).add(last().lte(given(Column::LastReportAt)));
    known
        .update_columns(REPORT)
        .value(Column::ReportedSyncAt, later(own(Column::ReportedSyncAt), given(Column::ReportedSyncAt)))
        .value(Column::HeardAt, dialect::now_plus(backend, 0))
        .value(Column::IdleSince, still_idle(backend))
        .action_cond_where(is_older);
    known
}

/// Returns the time since which the reports say that no worker is at work. It begins anew after a gap, in which there may have
/// been work.
fn still_idle(backend: DbBackend) -> Expr {
    let stale = i64::try_from(REPORT_IS_STALE_AFTER.as_millis()).unwrap_or(i64::MAX);
    let without_gap = Condition::all()
        .add(own(Column::IdleSince).is_not_null())
        // An older version replaces the last report only.
        .add(own(Column::ActivePolecats).eq(0))
        .add(own(Column::HeardAt).gte(dialect::now_plus(backend, -stale)));
    CaseStatement::new()
        .case(given(Column::IdleSince).is_null(), Expr::value(Option::<DateTime<Utc>>::None))
        .case(without_gap, own(Column::IdleSince))
        .finally(dialect::now_plus(backend, 0))
        .into()
}

/// Returns the statement that shows the reported times in the rows of these towns, which are a contract with other services.
fn shown(towns: &[Uuid]) -> UpdateStatement {
    let town = |column: towns::Column| Expr::col((towns::Entity, column));
    let mut shown = Query::update();
    shown
        .table(towns::Entity)
        .from(health::Entity)
        .value(towns::Column::LastHeartbeatAt, later(town(towns::Column::LastHeartbeatAt), own(Column::LastReportAt)))
        .value(towns::Column::LastR2SyncAt, later(town(towns::Column::LastR2SyncAt), own(Column::ReportedSyncAt)))
        .and_where(town(towns::Column::Id).equals((health::Entity, Column::TownId)))
        .and_where(town(towns::Column::Id).is_in(towns.iter().copied()))
        .and_where(town(towns::Column::DestroyedAt).is_null());
    shown
}

/// Returns the column of the row that exists.
fn own(column: Column) -> Expr {
    Expr::col((health::Entity, column))
}

/// Returns the column of the row that is inserted.
fn given(column: Column) -> Expr {
    Expr::col(("excluded", column).into_column_ref())
}

/// Returns the later of two times. Null is before every time.
fn later(one: Expr, other: Expr) -> Expr {
    let is_other = Condition::any()
        .add(one.clone().is_null())
        .add(Condition::all().add(other.clone().is_not_null()).add(other.clone().gt(one.clone())));
    CaseStatement::new().case(is_other, other).finally(one).into()
}

#[cfg(test)]
mod tests {
    use gastown_domain::SandboxReport;

    use super::*;
    use crate::dialect::tests::{conflicts_on_sqlite, plans_on_many_towns};

    #[tokio::test]
    async fn batches_find_their_rows_by_primary_key() {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let rows = || {
            let beat = |id| Heartbeat::received(TownId::new(id), DateTime::UNIX_EPOCH, SandboxReport::default(), None);
            ids.map(|id| row_of(&beat(id), DateTime::UNIX_EPOCH)).to_vec()
        };
        let [postgres, sqlite] = plans_on_many_towns(|backend| backend.build(&reports(backend, rows()))).await;
        assert!(postgres.contains("Conflict Arbiter Indexes: gastown_town_health_pkey"), "{postgres}");
        assert!(!sqlite.contains("gastown"), "nothing is scanned: {sqlite}");
        let looked_up = conflicts_on_sqlite(DbBackend::Sqlite.build(&reports(DbBackend::Sqlite, rows()))).await;
        assert!(looked_up > 0, "rows are looked up by the index of the key");

        let [postgres, sqlite] = plans_on_many_towns(|backend| backend.build(&shown(&ids))).await;
        for (plan, keys) in [
            (postgres, ["gastown_towns_pkey", "gastown_town_health_pkey"]),
            (sqlite, ["sqlite_autoindex_gastown_towns_1 (id=?)", "sqlite_autoindex_gastown_town_health_1 (town_id=?)"]),
        ] {
            assert!(keys.iter().all(|key| plan.contains(key)) && !plan.contains("SCAN gastown"), "{plan}");
        }
    }
}
