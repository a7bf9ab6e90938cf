//! `gastown_town_health`: the health of a town and its drift. Every writer holds the lock of the town's row.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use gastown_domain::{Drift, Progress, RefusedRig, TownId};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QuerySelect, QueryTrait as _, Set,
};
use serde_json::json;
use uuid::Uuid;

use crate::calendar::later_than;
use crate::dialect::skip_locked;
use crate::entity::gastown_town_health::{self as health, ActiveModel, Column};
use crate::entity::gastown_towns as towns;
use crate::error::TxError;
use crate::row::{decoded, log_unreadable, refused_rigs};

/// The number of refused rigs that a town keeps.
const MAX_REFUSED: usize = 10;

/// Records a rig that the sandbox refused, instead of an earlier one of that name.
pub(crate) async fn refused(tx: &DatabaseTransaction, town: TownId, rig: RefusedRig) -> Result<(), TxError> {
    let before = stored(tx, town).await?;
    let mut refused = refused_rigs(before.as_ref().and_then(|before| before.refused_rigs.as_ref()));
    refused.retain(|other| other.rig_name.folded() != rig.rig_name.folded());
    refused.push(rig);
    let dropped = refused.len().saturating_sub(MAX_REFUSED);
    let refused = json!(refused[dropped..]);
    let row = ActiveModel { town_id: Set(town.as_uuid()), refused_rigs: Set(Some(refused)), ..ActiveModel::default() };
    upsert(tx, [row], &[Column::RefusedRigs]).await
}

/// The effect of an operation on the drift of its town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriftEffect {
    /// The drift stays.
    Keep,
    /// The drift is cleared.
    Clear,
    /// This drift is confirmed from now on.
    Confirm(Drift),
}

/// The effect of an operation on the record of an idle stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleStopEffect {
    /// The record stays, as after a start that failed.
    Keep,
    /// The town was not stopped because it was idle.
    Clear,
    /// The town is stopped because it was idle.
    Set,
}

/// The effects of an operation on the health of its town.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effects<'a> {
    pub(crate) drift: DriftEffect,
    pub(crate) idle_stop: IdleStopEffect,
    /// The token and the image that the operation gave to the machine.
    pub(crate) given: &'a Progress,
}

/// Updates the health when an operation ends or soft-deletes its town. Returns true if it confirmed a new drift.
///
/// If the operation gave its machine a token and an image, the expiry and the image are recorded. They replace those of an
/// earlier machine. An image that the provider has not confirmed is not known.
/// Earlier observations are discarded. A drift check or health check in progress finds a different mark and records nothing.
/// The town's next health check is due at once. Its workers count as idle only from the next report on.
pub(crate) async fn operated_on(
    tx: &DatabaseTransaction,
    town: TownId,
    now: DateTime<Utc>,
    Effects { drift: effect, idle_stop, given }: Effects<'_>,
) -> Result<bool, TxError> {
    let idle_stopped_at = if idle_stop == IdleStopEffect::Set { Some(now) } else { None };
    let columns: Vec<_> = columns_of(effect)
        .iter()
        .copied()
        .chain(columns_given(given))
        .chain((idle_stop != IdleStopEffect::Keep).then_some(Column::IdleStoppedAt))
        .collect();
    match effect {
        DriftEffect::Keep | DriftEffect::Clear if mark(tx, town, now, (&columns, given, idle_stopped_at)).await? => {
            return Ok(false);
        }
        DriftEffect::Keep | DriftEffect::Clear | DriftEffect::Confirm(_) => {}
    }
    let before = stored(tx, town).await?;
    let found = match effect {
        DriftEffect::Confirm(drift) => Some(drift.as_str()),
        DriftEffect::Keep | DriftEffect::Clear => None,
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
        failures: Set(0),
        next_check_at: Set(Some(now)),
        token_expires_at: Set(given.token_expires_at),
        image: Set(image_of(given)),
        idle_since: Set(None),
        idle_stopped_at: Set(idle_stopped_at),
        ..ActiveModel::default()
    };
    upsert(tx, [row], &columns).await?;
    Ok(found.is_some() && known.is_none())
}

/// Returns the columns of what an operation gave to the machine.
fn columns_given(given: &Progress) -> impl Iterator<Item = Column> {
    let token = given.token_expires_at.map(|_| Column::TokenExpiresAt);
    token.into_iter().chain(given.may_have_given_image().then_some(Column::Image))
}

fn image_of(given: &Progress) -> Option<String> {
    given.known_image().map(|image| image.as_str().to_owned())
}

/// Marks a town with one statement. Returns false, and writes nothing, if its last mark is not earlier.
async fn mark(
    tx: &DatabaseTransaction,
    town: TownId,
    now: DateTime<Utc>,
    (columns, given, idle_stopped_at): (&[Column], &Progress, Option<DateTime<Utc>>),
) -> Result<bool, TxError> {
    let row = ActiveModel {
        town_id: Set(town.as_uuid()),
        checked_at: Set(Some(now)),
        suspicion: Set(None),
        suspicion_looks: Set(0),
        drift: Set(None),
        drift_since: Set(None),
        failures: Set(0),
        next_check_at: Set(Some(now)),
        token_expires_at: Set(given.token_expires_at),
        image: Set(image_of(given)),
        idle_since: Set(None),
        idle_stopped_at: Set(idle_stopped_at),
        ..ActiveModel::default()
    };
    let last = || Expr::col((health::Entity, Column::CheckedAt));
    let is_earlier = Condition::any().add(last().is_null()).add(last().lt(now));
    let mut known = OnConflict::column(Column::TownId);
    known.update_columns(columns.iter().copied()).action_cond_where(is_earlier);
    let insert = health::Entity::insert(row).on_conflict(known);
    let marked = insert.exec_without_returning(tx).await.map_err(TxError::writing("gastown_town_health"))?;
    Ok(marked > 0)
}

/// Returns the health of a town. A row that cannot be read must not keep an operation from ending.
async fn stored(tx: &DatabaseTransaction, town: TownId) -> Result<Option<health::Model>, TxError> {
    let row = tx.query_one(&health::Entity::find_by_id(town.as_uuid()).into_query()).await?;
    Ok(row.and_then(|row| decoded::<health::Entity, _>(&row, "").inspect_err(log_unreadable).ok()))
}

const fn columns_of(effect: DriftEffect) -> &'static [Column] {
    match effect {
        DriftEffect::Keep => {
            &[Column::CheckedAt, Column::Suspicion, Column::SuspicionLooks, Column::NextCheckAt, Column::IdleSince]
        }
        DriftEffect::Confirm(_) => &[
            Column::CheckedAt,
            Column::Suspicion,
            Column::SuspicionLooks,
            Column::Drift,
            Column::DriftSince,
            Column::NextCheckAt,
            Column::IdleSince,
        ],
        // A success shows that the sandbox is ready, or off, so its failed checks do not count any more.
        DriftEffect::Clear => &[
            Column::CheckedAt,
            Column::Suspicion,
            Column::SuspicionLooks,
            Column::Drift,
            Column::DriftSince,
            Column::NextCheckAt,
            Column::IdleSince,
            Column::Failures,
        ],
    }
}

/// Marks towns as taken for a drift check.
pub(crate) async fn taken(tx: &DatabaseTransaction, towns: &[Uuid], at: DateTime<Utc>) -> Result<(), TxError> {
    // In one order, so that two statements with many rows do not wait for each other.
    let towns: BTreeSet<_> = towns.iter().collect();
    let rows = towns.into_iter().map(|town| ActiveModel {
        town_id: Set(*town),
        checked_at: Set(Some(at)),
        ..ActiveModel::default()
    });
    upsert(tx, rows, &[Column::CheckedAt]).await
}

/// Records that these towns agreed with the provider, each at the time at which it was taken. Those that were taken again or had
/// an operation since stay as they are, and so do those that another transaction has locked.
pub(crate) async fn agreed(tx: &DatabaseTransaction, agreed: &[(TownId, DateTime<Utc>)]) -> Result<(), TxError> {
    let mut taken: BTreeMap<DateTime<Utc>, Vec<Uuid>> = BTreeMap::new();
    for (town, at) in agreed {
        taken.entry(*at).or_default().push(town.as_uuid());
    }
    // The towns of a batch are taken at one time.
    for (at, ids) in taken {
        let mut free =
            towns::Entity::find().select_only().column(towns::Column::Id).filter(towns::Column::Id.is_in(ids));
        skip_locked(QuerySelect::query(&mut free), LockType::NoKeyUpdate, towns::Entity);
        let written = health::Entity::update_many()
            .col_expr(Column::ComparedAt, Expr::value(at))
            .filter(Column::CheckedAt.eq(at))
            .filter(Column::TownId.in_subquery(free.into_query()));
        written.exec(tx).await.map_err(TxError::writing("gastown_town_health"))?;
    }
    Ok(())
}

/// Writes these columns, and inserts rows that do not exist.
async fn upsert(
    tx: &DatabaseTransaction,
    rows: impl IntoIterator<Item = ActiveModel>,
    columns: &[Column],
) -> Result<(), TxError> {
    let known = OnConflict::column(Column::TownId).update_columns(columns.iter().copied()).to_owned();
    let insert = health::Entity::insert_many(rows).on_conflict(known);
    insert.exec_without_returning(tx).await.map(|_| ()).map_err(TxError::writing("gastown_town_health"))
}
