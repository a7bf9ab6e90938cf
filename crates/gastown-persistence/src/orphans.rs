use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{ObservedOrphan, Orphan, OrphanEnd, Orphans, StoreError};
use gastown_domain::{AppName, ResourceId, TownId, TownRecord, TownTag};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, OnConflict, Query};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, DbErr,
    EntityTrait as _, IntoActiveModel as _, Iterable as _, ModelTrait as _, QueryFilter as _, QueryOrder as _,
    QueryResult, QuerySelect as _, QueryTrait as _, Select, Set,
};
use serde_json::json;
use uuid::Uuid;

use crate::entity::gastown_orphans::{self as orphans, ActiveModel, Column};
use crate::entity::{gastown_operations as operations, gastown_towns as towns};
use crate::error::{TxError, unwritable};
use crate::events::{ACCEPTED, CONTROL_PLANE, Event};
use crate::row::{TownRecordRow, each_readable, town_record};
use crate::{Database, dialect};

/// The maximum number of towns or resources in one statement.
const BATCH: usize = 200;

/// A deletion of a resource that has no orphan record.
#[derive(Debug, thiserror::Error)]
#[error("{resource} of app {app} has no orphan record")]
struct NoOrphanRecord {
    app: AppName,
    resource: ResourceId,
}

#[async_trait]
impl Orphans for Database {
    async fn town_records(&self, tags: &[TownTag]) -> Result<Vec<TownRecord>, StoreError> {
        let ranges: Vec<_> = ranges(tags.iter()).into_iter().collect();
        let mut records = BTreeMap::new();
        for ranges in ranges.chunks(BATCH) {
            let rows = record_rows(ranges).into_tuple::<TownRecordRow>();
            let rows = self.read(rows.all(&self.connection)).await?;
            records.extend(rows.into_iter().map(town_record).map(|record| (record.town, record)));
        }
        Ok(records.into_values().collect())
    }

    async fn record_seen(&self, seen: &[ObservedOrphan]) -> Result<Vec<Orphan>, StoreError> {
        // Unique, because a statement cannot change a row twice. Sorted, so that concurrent sweeps do not deadlock.
        let by_key = |orphan: &ObservedOrphan| (orphan.app.clone(), orphan.item.resource.clone());
        let seen: BTreeMap<_, _> = seen.iter().map(|orphan| (by_key(orphan), orphan)).collect();
        let seen: Vec<_> = seen.into_values().collect();
        let mut recorded = Vec::new();
        for seen in seen.chunks(BATCH) {
            let rows = self.in_tx("record_orphans", move |tx| async move { record_seen(&tx, seen).await });
            recorded.extend(rows.await?);
        }
        Ok(each_readable::<orphans::Entity, _, _>(&recorded, orphans::Model::into_orphan))
    }

    async fn list(&self) -> Result<(Vec<Orphan>, DateTime<Utc>), StoreError> {
        let oldest_first = orphans::Entity::find()
            .filter(is_of_known_kind())
            .order_by_asc(Column::FirstSeenAt)
            .order_by_asc(Column::App)
            .order_by_asc(Column::Kind)
            .order_by_asc(Column::FlyId)
            .into_query();
        let rows = self.read(self.connection.query_all(&oldest_first)).await?;
        let now = self.read(dialect::now(&self.connection)).await?;
        Ok((each_readable::<orphans::Entity, _, _>(&rows, orphans::Model::into_orphan), now))
    }

    async fn log_deletion(&self, app: &AppName, resource: &ResourceId, actor: &str) -> Result<(), StoreError> {
        self.in_tx("log_orphan_deletion", move |tx| async move { log_deletion(&tx, app, resource, actor).await }).await
    }

    async fn close(&self, app: &AppName, resource: &ResourceId, end: OrphanEnd) -> Result<(), StoreError> {
        self.in_tx("close_orphan", move |tx| async move {
            let Some(row) = dialect::locked(find(app, resource)).one(&*tx).await? else { return Ok(()) };
            let now = dialect::now(&*tx).await?;
            record_event(&tx, &row, CONTROL_PLANE, ("orphan_closed", end.as_str()), now).await?;
            row.delete(&*tx).await?;
            Ok(())
        })
        .await
    }
}

/// Matches records of machines and volumes. A resource of another kind is left to a newer version (FM-59).
fn is_of_known_kind() -> Condition {
    Condition::all().add(Column::Kind.is_in(["machine", "volume"]))
}

/// Selects towns together with their operations, because ownership depends on both at one moment.
fn record_rows(ranges: &[(Uuid, Uuid)]) -> Select<towns::Entity> {
    towns::Entity::find()
        .select_only()
        .columns([towns::Column::Id, towns::Column::Status])
        .columns([towns::Column::FlyMachineId, towns::Column::FlyVolumeId])
        .column_as(operations::Column::TownId, "operating")
        .left_join(operations::Entity)
        .filter(lies_in(ranges))
}

async fn record_seen(tx: &DatabaseTransaction, seen: &[&ObservedOrphan]) -> Result<Vec<QueryResult>, TxError> {
    let now = dialect::now(tx).await?;
    let towns = registered(tx, seen).await?;
    let rows = seen.iter().map(|orphan| new_row(orphan, &towns, now));
    let mut insert = orphans::Entity::insert_many(rows).on_conflict(seen_again()).into_query();
    insert.returning(Query::returning().columns(Column::iter()));
    tx.query_all(&insert).await.map_err(TxError::writing("gastown_orphans"))
}

fn new_row(orphan: &ObservedOrphan, towns: &BTreeSet<Uuid>, now: DateTime<Utc>) -> ActiveModel {
    let ObservedOrphan { app, item, reason } = orphan;
    ActiveModel {
        app: Set(app.as_str().to_owned()),
        kind: Set(item.resource.kind().to_owned()),
        fly_id: Set(item.resource.id().to_owned()),
        name: Set(item.name.clone()),
        town_id: Set(town_of(&item.tags, towns)),
        reason: Set(reason.as_str().to_owned()),
        first_seen_at: Set(now),
        last_seen_at: Set(now),
        times_seen: Set(1),
        deletion_asked_at: Set(None),
    }
}

/// Returns the update of an existing record: it counts on, or starts anew if the reason changed.
fn seen_again() -> OnConflict {
    let stored = |column| Expr::col((orphans::Entity, column));
    let mut update = OnConflict::columns([Column::App, Column::Kind, Column::FlyId]);
    update.value(Column::TimesSeen, unless_new_reason(stored(Column::TimesSeen).add(1), Column::TimesSeen));
    for kept in [Column::FirstSeenAt, Column::DeletionAskedAt] {
        update.value(kept, unless_new_reason(stored(kept), kept));
    }
    update.update_columns([Column::Name, Column::TownId, Column::Reason, Column::LastSeenAt]);
    update
}

/// Returns `kept` if the reason is the same as before, or else the value of a new record.
fn unless_new_reason(kept: Expr, column: Column) -> Expr {
    let same = Expr::col((orphans::Entity, Column::Reason)).equals(("excluded", Column::Reason));
    CaseStatement::new().case(same, kept).finally(Expr::col(("excluded", column))).into()
}

/// Returns the registered towns, live or not, that match one of the resources' tags.
async fn registered(tx: &DatabaseTransaction, seen: &[&ObservedOrphan]) -> Result<BTreeSet<Uuid>, DbErr> {
    let mut registered = BTreeSet::new();
    let ranges: Vec<_> = ranges(seen.iter().flat_map(|orphan| &orphan.item.tags)).into_iter().collect();
    for ranges in ranges.chunks(BATCH) {
        let ids = towns::Entity::find().select_only().column(towns::Column::Id).filter(lies_in(ranges));
        registered.extend(ids.into_tuple::<Uuid>().all(tx).await?);
    }
    Ok(registered)
}

/// Returns the town of a resource: a registered one that its tags match, or else the one that they name.
fn town_of(tags: &[TownTag], registered: &BTreeSet<Uuid>) -> Option<Uuid> {
    let matching = |tag: &TownTag| {
        let (first, last) = tag.range();
        registered.range(first..=last).next().copied()
    };
    let named = |tag: &TownTag| match tag {
        TownTag::Whole(town) => Some(town.as_uuid()),
        TownTag::Range { .. } => None,
    };
    tags.iter().find_map(matching).or_else(|| tags.iter().find_map(named))
}

async fn log_deletion(
    tx: &DatabaseTransaction,
    app: &AppName,
    resource: &ResourceId,
    actor: &str,
) -> Result<(), TxError> {
    let row = dialect::locked(find(app, resource)).one(tx).await?;
    let row = row.ok_or_else(|| unwritable(NoOrphanRecord { app: app.clone(), resource: resource.clone() }))?;
    if row.deletion_asked_at.is_some() {
        return Ok(());
    }
    let now = dialect::now(tx).await?;
    record_event(tx, &row, actor, ("orphan_deleted", ACCEPTED), now).await?;
    let mut row = row.into_active_model();
    row.deletion_asked_at = Set(Some(now));
    row.update(tx).await.map(|_| ()).map_err(TxError::writing("gastown_orphans"))
}

/// Records an event in the history of the orphan's town, if the town exists.
async fn record_event(
    tx: &DatabaseTransaction,
    row: &orphans::Model,
    actor: &str,
    (action, outcome): (&str, &str),
    at: DateTime<Utc>,
) -> Result<(), TxError> {
    let Some(town) = row.town_id else { return Ok(()) };
    if towns::Entity::find_by_id(town).one(tx).await?.is_none() {
        return Ok(());
    }
    let what = json!({"app": row.app, "kind": row.kind, "id": row.fly_id, "name": row.name, "reason": row.reason});
    Event::of(TownId::new(town), actor, action, outcome, at).detailed(what).record(tx).await
}

fn find(app: &AppName, resource: &ResourceId) -> Select<orphans::Entity> {
    let key = (app.as_str().to_owned(), resource.kind().to_owned(), resource.id().to_owned());
    orphans::Entity::find_by_id(key)
}

fn ranges<'a>(tags: impl Iterator<Item = &'a TownTag>) -> BTreeSet<(Uuid, Uuid)> {
    tags.map(|tag| tag.range()).collect()
}

/// Matches towns whose id is in one of these ranges.
fn lies_in(ranges: &[(Uuid, Uuid)]) -> Condition {
    ranges.iter().fold(Condition::any(), |any, (first, last)| any.add(towns::Column::Id.between(*first, *last)))
}
