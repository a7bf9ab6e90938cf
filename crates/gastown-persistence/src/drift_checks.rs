use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    Alarm, DriftChecks, DriftRecord, DriftRound, RoundFigures, RoundState, StoreError, TownHealth,
};
use gastown_domain::{Recorded, Town, TownId, TownStatus};
use sea_orm::sea_query::{LockType, NullOrdering, Order};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect, QueryTrait as _, Set,
};
use uuid::Uuid;

use crate::calendar::{after, before, later_than};
use crate::dialect::{self, locked, skip_locked};
use crate::entity::{gastown_town_health as health, gastown_towns as towns};
use crate::error::TxError;
use crate::events::{CONTROL_PLANE, Event};
use crate::row::{decoded, readable};
use crate::town_queries::{has_operation, is_idle};
use crate::{Database, drift_rounds, town_change};

/// A town, its health, and the time at which it was taken.
type Taken = (Town, TownHealth, DateTime<Utc>);

type TownAndHealth = (towns::Model, Option<health::Model>);

#[async_trait]
impl DriftChecks for Database {
    async fn join_round(&self, every: Duration) -> Result<Option<DriftRound>, StoreError> {
        self.in_tx("join_drift_round", move |tx| async move { drift_rounds::join(&tx, every).await }).await
    }

    async fn take_due(
        &self,
        round: i64,
        limit: u32,
        unseen_for: Duration,
        lease: Duration,
    ) -> Result<Vec<Taken>, StoreError> {
        self.in_tx("take_drift_checks", move |tx| async move { take_due(&tx, round, limit, unseen_for, lease).await })
            .await
    }

    async fn report(
        &self,
        round: i64,
        batch: RoundFigures,
        agreed: &[(TownId, DateTime<Utc>)],
    ) -> Result<Option<RoundState>, StoreError> {
        self.in_tx("report_drift_checks", move |tx| async move {
            let state = drift_rounds::report(&tx, round, batch).await?;
            crate::health::agreed(&tx, agreed).await?;
            Ok(state)
        })
        .await
    }

    async fn end_round(&self, round: i64, alarm: Option<Alarm>) -> Result<bool, StoreError> {
        self.in_tx("end_drift_round", move |tx| async move { drift_rounds::end(&tx, round, alarm).await }).await
    }

    async fn record(&self, town: &Town, finding: &DriftRecord) -> Result<bool, StoreError> {
        let recorded = self.in_tx("record_drift_check", move |tx| async move { record(&tx, town.id, finding).await });
        self.changed(town.id, recorded.await)
    }
}

/// Takes towns under the lock of the round, so that its figures count them from the moment at which others cannot take them.
async fn take_due(
    tx: &DatabaseTransaction,
    round: i64,
    limit: u32,
    unseen_for: Duration,
    lease: Duration,
) -> Result<Vec<Taken>, TxError> {
    if !drift_rounds::lock_open(tx, round).await? {
        return Ok(Vec::new());
    }
    let now = dialect::now(tx).await?;
    let due = mark_due(tx, now, before(now, unseen_for), limit).await?;
    if !due.is_empty() {
        drift_rounds::add_taken(tx, round, due.len(), after(now, lease)).await?;
    }
    Ok(due)
}

/// Marks up to `limit` towns as taken and returns them.
async fn mark_due(
    tx: &DatabaseTransaction,
    now: DateTime<Utc>,
    unseen_since: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Taken>, TxError> {
    let candidates = lock_candidates(tx, unseen_since, limit).await?;
    let due = still_due(tx, candidates, unseen_since).await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    // Unreadable rows are marked too. Otherwise each call would take them first.
    let ids = due.iter().map(|row| row.try_get("A_", "id")).collect::<Result<Vec<Uuid>, _>>()?;
    let due: Vec<_> = due.iter().map(town_and_health).collect();
    let last_mark = due.iter().flatten().filter_map(|(_, health)| health.as_ref()?.checked_at).max();
    let taken_at = later_than(last_mark, now);
    crate::health::taken(tx, &ids, taken_at).await?;
    Ok(readable(due.into_iter().map(|row| taken(row?, taken_at))))
}

/// Locks towns that look due, and skips towns that another transaction has locked.
async fn lock_candidates(
    tx: &DatabaseTransaction,
    unseen_since: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Uuid>, TxError> {
    let mut candidates = towns::Entity::find()
        .select_only()
        .column(towns::Column::Id)
        .left_join(health::Entity)
        .filter(is_due(unseen_since))
        .order_by_with_nulls(health::Column::CheckedAt, Order::Asc, NullOrdering::First)
        .order_by_asc(towns::Column::Id)
        .limit(u64::from(limit));
    skip_locked(QuerySelect::query(&mut candidates), LockType::NoKeyUpdate, towns::Entity);
    Ok(candidates.into_tuple().all(tx).await?)
}

/// Reads the candidates again, now that they are locked.
///
/// Another transaction may have taken one of them, or inserted an operation, after the first statement started. It locked
/// the town's row without changing it, so only this second read shows it.
async fn still_due(
    tx: &DatabaseTransaction,
    candidates: Vec<Uuid>,
    unseen_since: DateTime<Utc>,
) -> Result<Vec<QueryResult>, TxError> {
    let due = towns::Entity::find()
        .find_also_related(health::Entity)
        .filter(towns::Column::Id.is_in(candidates))
        .filter(is_due(unseen_since))
        .order_by_with_nulls(health::Column::CheckedAt, Order::Asc, NullOrdering::First)
        .order_by_asc(towns::Column::Id)
        .into_query();
    Ok(tx.query_all(&due).await?)
}

fn town_and_health(row: &QueryResult) -> Result<TownAndHealth, StoreError> {
    Ok((decoded::<towns::Entity, _>(row, "A_")?, decoded::<health::Entity, _>(row, "B_")?))
}

fn taken((town, health): TownAndHealth, taken_at: DateTime<Utc>) -> Result<Taken, StoreError> {
    let health = health.map_or_else(|| Ok(TownHealth::default()), health::Model::into_health)?;
    Ok((town.into_town()?, health, taken_at))
}

/// Matches towns that are live, settled, idle, and not checked since this time.
fn is_due(since: DateTime<Utc>) -> Condition {
    let settled = [TownStatus::Running, TownStatus::Stopped].map(TownStatus::as_str);
    let unseen = Condition::any().add(health::Column::CheckedAt.is_null()).add(health::Column::CheckedAt.lte(since));
    Condition::all()
        .add(towns::Column::DestroyedAt.is_null())
        .add(towns::Column::Status.is_in(settled))
        .add(is_idle())
        .add(unseen)
}

async fn record(tx: &DatabaseTransaction, town: TownId, finding: &DriftRecord) -> Result<bool, TxError> {
    let live = towns::Entity::find_by_id(town.as_uuid()).filter(towns::Column::DestroyedAt.is_null());
    let Some(row) = locked(live).one(tx).await? else { return Ok(false) };
    if has_operation(tx, town).await? {
        return Ok(false);
    }
    let taken = health::Entity::find_by_id(town.as_uuid()).filter(health::Column::CheckedAt.eq(finding.taken_at));
    let Some(known) = taken.one(tx).await? else { return Ok(false) };
    let now = dialect::now(tx).await?;
    let event = event_of(town, &row, &known, finding, now);
    town_change::apply(tx, row, &finding.change).await?;
    update_health(tx, known, finding, now).await?;
    if let Some(event) = event {
        event.record(tx).await?;
    }
    Ok(true)
}

/// Returns the event of a drift that was not known before, or else of resource ids that the row loses.
fn event_of<'a>(
    town: TownId,
    row: &towns::Model,
    known: &health::Model,
    finding: &'a DriftRecord,
    now: DateTime<Utc>,
) -> Option<Event<'a>> {
    match new_drift(known, finding) {
        Some(drift) => {
            let changes = town_change::described(row, &finding.change);
            Some(Event::of(town, CONTROL_PLANE, "drift", drift, now).detailed(changes))
        }
        None => town_change::lost_ids(row, &finding.change)
            .map(|lost| Event::of(town, CONTROL_PLANE, town_change::IDS, "changed", now).detailed(lost)),
    }
}

/// Returns the text of a drift that was not known before.
fn new_drift<'a>(known: &health::Model, finding: &'a DriftRecord) -> Option<&'a str> {
    finding.drift.as_ref().map(Recorded::as_str).filter(|drift| known.drift.as_deref() != Some(*drift))
}

async fn update_health(
    tx: &DatabaseTransaction,
    known: health::Model,
    finding: &DriftRecord,
    now: DateTime<Utc>,
) -> Result<(), TxError> {
    let since = if new_drift(&known, finding).is_some() { Some(now) } else { known.drift_since };
    let mut known = known.into_active_model();
    known.compared_at = Set(Some(finding.taken_at));
    known.suspicion = Set(finding.suspicion.map(|suspicion| suspicion.drift.as_str().to_owned()));
    known.suspicion_looks = Set(finding.suspicion.map_or(0, |suspicion| i64::from(suspicion.looks)));
    known.drift = Set(finding.drift.as_ref().map(Recorded::to_string));
    known.drift_since = Set(since.filter(|_| finding.drift.is_some()));
    if finding.change.status.is_some() {
        // Not the service has started or stopped it.
        (known.idle_since, known.idle_stopped_at) = (Set(None), Set(None));
    }
    known.update(tx).await.map(|_| ()).map_err(TxError::writing("gastown_town_health"))
}
