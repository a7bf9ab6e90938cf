use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{DriftChecks, DriftRecord, StoreError, TownHealth};
use gastown_domain::{Town, TownId, TownStatus};
use sea_orm::sea_query::{LockType, NullOrdering, Order};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect, QueryTrait as _, Set,
};
use uuid::Uuid;

use crate::calendar::{before, later_than};
use crate::dialect::{self, locked, pass_over_locked};
use crate::entity::{gastown_town_health as health, gastown_towns as towns};
use crate::error::Stop;
use crate::events::{CONTROL_PLANE, Event};
use crate::request::{has_operation, idle};
use crate::row::{decoded, readable};
use crate::{Database, town_change};

/// A town, what is known of its health, and when it was taken.
type Taken = (Town, TownHealth, DateTime<Utc>);

#[async_trait]
impl DriftChecks for Database {
    async fn take_due(&self, limit: u32, every: Duration) -> Result<Vec<Taken>, StoreError> {
        self.in_tx("take_inspections", move |tx| async move { take(&tx, limit, every).await }).await
    }

    async fn record(&self, town: &Town, finding: &DriftRecord) -> Result<bool, StoreError> {
        self.in_tx("settle_inspection", move |tx| async move { settle(&tx, town.id, finding).await }).await
    }
}

async fn take(tx: &DatabaseTransaction, limit: u32, every: Duration) -> Result<Vec<Taken>, Stop> {
    let now = dialect::now(tx).await?;
    let unseen_since = before(now, every);
    let mut candidates = towns::Entity::find()
        .select_only()
        .column(towns::Column::Id)
        .left_join(health::Entity)
        .filter(is_due(unseen_since))
        .order_by_with_nulls(health::Column::CheckedAt, Order::Asc, NullOrdering::First)
        .order_by_asc(towns::Column::Id)
        .limit(u64::from(limit));
    pass_over_locked(QuerySelect::query(&mut candidates), LockType::NoKeyUpdate, towns::Entity);
    let candidates: Vec<Uuid> = candidates.into_tuple().all(tx).await?;
    // Whoever took one of them, or wrote an operation for it, since this statement began to read has locked the town's
    // row without writing to it. Now that the locks are ours, the second look is the one that counts.
    let due = towns::Entity::find()
        .find_also_related(health::Entity)
        .filter(towns::Column::Id.is_in(candidates))
        .filter(is_due(unseen_since))
        .order_by_with_nulls(health::Column::CheckedAt, Order::Asc, NullOrdering::First)
        .order_by_asc(towns::Column::Id)
        .into_query();
    let due = tx.query_all(&due).await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    // What cannot be read is taken with the others, or it would be the first to be taken for ever.
    let ids = due.iter().map(|row| row.try_get("A_", "id")).collect::<Result<Vec<Uuid>, _>>()?;
    let due: Vec<_> = due.iter().map(both).collect();
    let last_mark = due.iter().flatten().filter_map(|(_, health)| health.as_ref()?.checked_at).max();
    let taken_at = later_than(last_mark, now);
    crate::health::taken(tx, &ids, taken_at).await?;
    Ok(readable(due.into_iter().map(|row| {
        let (town, health) = row?;
        let health = health.map_or_else(|| Ok(TownHealth::default()), health::Model::into_health)?;
        Ok((town.into_town()?, health, taken_at))
    })))
}

/// A town and its health, from a row that has both.
fn both(row: &QueryResult) -> Result<(towns::Model, Option<health::Model>), StoreError> {
    Ok((decoded::<towns::Entity, _>(row, "A_")?, decoded::<health::Entity, _>(row, "B_")?))
}

/// Living, settled, idle, and not looked at since then.
fn is_due(since: DateTime<Utc>) -> Condition {
    let settled = [TownStatus::Running, TownStatus::Stopped].map(TownStatus::as_str);
    let unseen = Condition::any().add(health::Column::CheckedAt.is_null()).add(health::Column::CheckedAt.lte(since));
    Condition::all()
        .add(towns::Column::DestroyedAt.is_null())
        .add(towns::Column::Status.is_in(settled))
        .add(idle())
        .add(unseen)
}

async fn settle(tx: &DatabaseTransaction, town: TownId, finding: &DriftRecord) -> Result<bool, Stop> {
    let living = towns::Entity::find_by_id(town.as_uuid()).filter(towns::Column::DestroyedAt.is_null());
    let Some(row) = locked(living).one(tx).await? else { return Ok(false) };
    if has_operation(tx, town).await? {
        return Ok(false);
    }
    let taken = health::Entity::find_by_id(town.as_uuid()).filter(health::Column::CheckedAt.eq(finding.taken_at));
    let Some(known) = taken.one(tx).await? else { return Ok(false) };
    let now = dialect::now(tx).await?;
    let changes = town_change::described(&row, &finding.change);
    let lost = town_change::lost_ids(&row, &finding.change);
    town_change::apply(tx, row, &finding.change).await?;
    let drift = finding.drift.map(gastown_domain::Drift::as_str);
    let news = drift.filter(|drift| known.drift.as_deref() != Some(*drift));
    let since = if news.is_some() { Some(now) } else { known.drift_since };
    let mut known = known.into_active_model();
    known.suspicion = Set(finding.suspicion.map(|suspicion| suspicion.drift.as_str().to_owned()));
    known.suspicion_looks = Set(finding.suspicion.map_or(0, |suspicion| i64::from(suspicion.looks)));
    known.drift = Set(drift.map(ToOwned::to_owned));
    known.drift_since = Set(since.filter(|_| drift.is_some()));
    known.update(tx).await.map_err(Stop::writing("gastown_town_health"))?;
    if let Some(drift) = news {
        Event::of(town, CONTROL_PLANE, "drift", drift, now).detailed(changes).record(tx).await?;
    } else if let Some(lost) = lost {
        Event::of(town, CONTROL_PLANE, town_change::IDS, "changed", now).detailed(lost).record(tx).await?;
    }
    Ok(true)
}
