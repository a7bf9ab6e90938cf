//! `gastown_town_health`: what is known of a town beside its row. Whoever writes here holds the lock of the town's row.

use chrono::{DateTime, Utc};
use gastown_domain::{Drift, TownId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, EntityTrait as _, QueryTrait as _, Set};
use uuid::Uuid;

use crate::calendar::later_than;
use crate::entity::gastown_town_health::{self as health, ActiveModel, Column};
use crate::error::Stop;
use crate::row::{decoded, report};

/// The sandbox reported.
pub(crate) async fn reported(tx: &DatabaseTransaction, town: TownId, at: DateTime<Utc>) -> Result<(), Stop> {
    let row = ActiveModel { town_id: Set(town.as_uuid()), last_report_at: Set(Some(at)), ..ActiveModel::default() };
    write(tx, [row], &[Column::LastReportAt]).await
}

/// What becomes of a drift that is believed when an operation ends or hides its town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belief {
    /// It stays.
    Kept,
    /// It is put right.
    PutRight,
    /// This is believed from now on.
    Found(Drift),
}

/// An operation ended or hid the town: what a look saw before is worth nothing now, and one under way finds another mark
/// than it left. Answers whether a drift that the operation found is news.
pub(crate) async fn operated_on(
    tx: &DatabaseTransaction,
    town: TownId,
    now: DateTime<Utc>,
    belief: Belief,
) -> Result<bool, Stop> {
    let before = tx.query_one(&health::Entity::find_by_id(town.as_uuid()).into_query()).await?;
    // What cannot be read keeps no operation from its end.
    let before: Option<health::Model> =
        before.and_then(|row| decoded::<health::Entity, _>(&row, "").inspect_err(report).ok());
    let found = match belief {
        Belief::Found(drift) => Some(drift.as_str()),
        Belief::Kept | Belief::PutRight => None,
    };
    let known = before.as_ref().filter(|before| before.drift.as_deref() == found);
    let since = if let Some(known) = known { known.drift_since } else { Some(now) };
    let row = ActiveModel {
        town_id: Set(town.as_uuid()),
        checked_at: Set(Some(later_than(before.as_ref().and_then(|before| before.checked_at), now))),
        suspicion: Set(None),
        suspicion_looks: Set(0),
        drift: Set(found.map(ToOwned::to_owned)),
        drift_since: Set(since.filter(|_| found.is_some())),
        ..ActiveModel::default()
    };
    let looked_at = [Column::CheckedAt, Column::Suspicion, Column::SuspicionLooks];
    let drift: &[_] = if belief == Belief::Kept { &[] } else { &[Column::Drift, Column::DriftSince] };
    write(tx, [row], &[&looked_at, drift].concat()).await?;
    Ok(found.is_some() && known.is_none())
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
