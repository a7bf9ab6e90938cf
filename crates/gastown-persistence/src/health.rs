//! `gastown_town_health`: what is known of a town beside its row. Whoever writes here holds the lock of the town's row.

use chrono::{DateTime, Utc};
use gastown_domain::TownId;
use sea_orm::sea_query::OnConflict;
use sea_orm::{DatabaseTransaction, EntityTrait as _, Set};
use uuid::Uuid;

use crate::calendar::later_than;
use crate::entity::gastown_town_health::{self as health, ActiveModel, Column};
use crate::error::Stop;

/// The sandbox reported.
pub(crate) async fn reported(tx: &DatabaseTransaction, town: TownId, at: DateTime<Utc>) -> Result<(), Stop> {
    let row = ActiveModel { town_id: Set(town.as_uuid()), last_report_at: Set(Some(at)), ..ActiveModel::default() };
    write(tx, [row], &[Column::LastReportAt]).await
}

/// An operation ended or hid the town: what a look saw before is worth nothing now, and one under way finds another mark
/// than it left. An operation that reached its goal also puts a drift right.
pub(crate) async fn operated_on(
    tx: &DatabaseTransaction,
    town: TownId,
    now: DateTime<Utc>,
    is_put_right: bool,
) -> Result<(), Stop> {
    let before = health::Entity::find_by_id(town.as_uuid()).one(tx).await?;
    let row = ActiveModel {
        town_id: Set(town.as_uuid()),
        checked_at: Set(Some(later_than(before.and_then(|before| before.checked_at), now))),
        suspicion: Set(None),
        suspicion_looks: Set(0),
        drift: Set(None),
        drift_since: Set(None),
        ..ActiveModel::default()
    };
    let looked_at = [Column::CheckedAt, Column::Suspicion, Column::SuspicionLooks];
    let drift: &[_] = if is_put_right { &[Column::Drift, Column::DriftSince] } else { &[] };
    write(tx, [row], &[&looked_at, drift].concat()).await
}

/// These towns are taken for a look now.
pub(crate) async fn taken(tx: &DatabaseTransaction, towns: &[Uuid], at: DateTime<Utc>) -> Result<(), Stop> {
    let rows = towns.iter().map(|town| ActiveModel {
        town_id: Set(*town),
        checked_at: Set(Some(at)),
        ..ActiveModel::default()
    });
    write(tx, rows, &[Column::CheckedAt]).await
}

/// Writes these columns, into rows that are made where there are none.
async fn write(
    tx: &DatabaseTransaction,
    rows: impl IntoIterator<Item = ActiveModel>,
    columns: &[Column],
) -> Result<(), Stop> {
    let known = OnConflict::column(Column::TownId).update_columns(columns.iter().copied()).to_owned();
    let insert = health::Entity::insert_many(rows).on_conflict(known);
    insert.exec_without_returning(tx).await.map(|_| ()).map_err(Stop::writing("gastown_town_health"))
}
