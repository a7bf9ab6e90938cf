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
use crate::error::{Stop, unwritable};
use crate::events::{ACCEPTED, CONTROL_PLANE, Event};
use crate::row::{AccountRow, account, each};
use crate::{Database, dialect};

/// How many towns or things one statement speaks of.
const AT_ONCE: usize = 200;

/// Nothing is deleted that was not seen and written down before.
#[derive(Debug, thiserror::Error)]
#[error("the {resource} of app {app} is not in the book of orphans")]
struct NotInTheBook {
    app: AppName,
    resource: ResourceId,
}

#[async_trait]
impl Orphans for Database {
    async fn town_records(&self, tags: &[TownTag]) -> Result<Vec<TownRecord>, StoreError> {
        let ranges: Vec<_> = ranges(tags.iter()).into_iter().collect();
        let mut accounts = BTreeMap::new();
        for ranges in ranges.chunks(AT_ONCE) {
            // One statement, for what is in flight must be judged together with what the row says.
            let named = towns::Entity::find()
                .select_only()
                .columns([towns::Column::Id, towns::Column::Status])
                .columns([towns::Column::FlyMachineId, towns::Column::FlyVolumeId])
                .column_as(operations::Column::TownId, "operating")
                .left_join(operations::Entity)
                .filter(lies_in(ranges))
                .into_tuple::<AccountRow>();
            let rows = self.answer(named.all(&self.connection)).await?;
            accounts.extend(rows.into_iter().map(account).map(|account| (account.town, account)));
        }
        Ok(accounts.into_values().collect())
    }

    async fn record_seen(&self, seen: &[ObservedOrphan]) -> Result<Vec<Orphan>, StoreError> {
        // Each once, or a statement would touch a row twice; in one order, or two passes would wait for each other.
        let by_key = |sighting: &ObservedOrphan| (sighting.app.clone(), sighting.item.resource.clone());
        let seen: BTreeMap<_, _> = seen.iter().map(|sighting| (by_key(sighting), sighting)).collect();
        let seen: Vec<_> = seen.into_values().collect();
        let mut noted = Vec::new();
        for seen in seen.chunks(AT_ONCE) {
            noted.extend(self.in_tx("note_orphans", move |tx| async move { note(&tx, seen).await }).await?);
        }
        Ok(each::<orphans::Entity, _, _>(&noted, orphans::Model::into_orphan))
    }

    async fn list(&self) -> Result<(Vec<Orphan>, DateTime<Utc>), StoreError> {
        let oldest_first = orphans::Entity::find()
            .order_by_asc(Column::FirstSeenAt)
            .order_by_asc(Column::App)
            .order_by_asc(Column::Kind)
            .order_by_asc(Column::FlyId)
            .into_query();
        let rows = self.answer(self.connection.query_all(&oldest_first)).await?;
        let now = self.answer(dialect::now(&self.connection)).await?;
        Ok((each::<orphans::Entity, _, _>(&rows, orphans::Model::into_orphan), now))
    }

    async fn log_deletion(&self, app: &AppName, resource: &ResourceId, actor: &str) -> Result<(), StoreError> {
        self.in_tx("delete_orphan", move |tx| async move {
            let row = dialect::locked(entry(app, resource)).one(&*tx).await?;
            let row = row.ok_or_else(|| unwritable(NotInTheBook { app: app.clone(), resource: resource.clone() }))?;
            if row.deletion_asked_at.is_some() {
                return Ok(());
            }
            let now = dialect::now(&*tx).await?;
            record(&tx, &row, actor, ("orphan_deleted", ACCEPTED), now).await?;
            let mut row = row.into_active_model();
            row.deletion_asked_at = Set(Some(now));
            row.update(&*tx).await.map(|_| ()).map_err(Stop::writing("gastown_orphans"))
        })
        .await
    }

    async fn close(&self, app: &AppName, resource: &ResourceId, end: OrphanEnd) -> Result<(), StoreError> {
        self.in_tx("close_orphan", move |tx| async move {
            let Some(row) = dialect::locked(entry(app, resource)).one(&*tx).await? else { return Ok(()) };
            let now = dialect::now(&*tx).await?;
            record(&tx, &row, CONTROL_PLANE, ("orphan_closed", end.as_str()), now).await?;
            row.delete(&*tx).await?;
            Ok(())
        })
        .await
    }
}

/// Writes these down in one statement.
async fn note(tx: &DatabaseTransaction, seen: &[&ObservedOrphan]) -> Result<Vec<QueryResult>, Stop> {
    let now = dialect::now(tx).await?;
    let towns = registered(tx, seen).await?;
    let rows = seen.iter().map(|ObservedOrphan { app, item, reason }| ActiveModel {
        app: Set(app.as_str().to_owned()),
        kind: Set(item.resource.kind().to_owned()),
        fly_id: Set(item.resource.id().to_owned()),
        name: Set(item.name.clone()),
        town_id: Set(town_of(&item.tags, &towns)),
        reason: Set(reason.as_str().to_owned()),
        first_seen_at: Set(now),
        last_seen_at: Set(now),
        times_seen: Set(1),
        deletion_asked_at: Set(None),
    });
    let mut known = OnConflict::columns([Column::App, Column::Kind, Column::FlyId]);
    known.value(
        Column::TimesSeen,
        unless_new_reason(Expr::col((orphans::Entity, Column::TimesSeen)).add(1), Column::TimesSeen),
    );
    for kept in [Column::FirstSeenAt, Column::DeletionAskedAt] {
        known.value(kept, unless_new_reason(Expr::col((orphans::Entity, kept)), kept));
    }
    known.update_columns([Column::Name, Column::TownId, Column::Reason, Column::LastSeenAt]);
    let mut insert = orphans::Entity::insert_many(rows).on_conflict(known).into_query();
    insert.returning(Query::returning().columns(Column::iter()));
    tx.query_all(&insert).await.map_err(Stop::writing("gastown_orphans"))
}

/// What a column of a known entry becomes: this, or what a new entry would have where the reason is another than before.
fn unless_new_reason(kept: Expr, column: Column) -> Expr {
    let same = Expr::col((orphans::Entity, Column::Reason)).equals(("excluded", Column::Reason));
    CaseStatement::new().case(same, kept).finally(Expr::col(("excluded", column))).into()
}

/// The towns, living or not, that these things may be of.
async fn registered(tx: &DatabaseTransaction, seen: &[&ObservedOrphan]) -> Result<BTreeSet<Uuid>, DbErr> {
    let mut registered = BTreeSet::new();
    let ranges: Vec<_> = ranges(seen.iter().flat_map(|sighting| &sighting.item.tags)).into_iter().collect();
    for ranges in ranges.chunks(AT_ONCE) {
        let ids = towns::Entity::find().select_only().column(towns::Column::Id).filter(lies_in(ranges));
        registered.extend(ids.into_tuple::<Uuid>().all(tx).await?);
    }
    Ok(registered)
}

/// The town that a thing is of: one that there is, else the one that it says.
fn town_of(tags: &[TownTag], registered: &BTreeSet<Uuid>) -> Option<Uuid> {
    let named = |tag: &TownTag| {
        let (first, last) = tag.range();
        registered.range(first..=last).next().copied()
    };
    let said = |tag: &TownTag| match tag {
        TownTag::Whole(town) => Some(town.as_uuid()),
        TownTag::Prefix(_) => None,
    };
    tags.iter().find_map(named).or_else(|| tags.iter().find_map(said))
}

/// Writes down in the history of an orphan's town, where there is one, what happens to it.
async fn record(
    tx: &DatabaseTransaction,
    row: &orphans::Model,
    actor: &str,
    (action, outcome): (&str, &str),
    at: DateTime<Utc>,
) -> Result<(), Stop> {
    let Some(town) = row.town_id else { return Ok(()) };
    if towns::Entity::find_by_id(town).one(tx).await?.is_none() {
        return Ok(());
    }
    let what = json!({"app": row.app, "kind": row.kind, "id": row.fly_id, "name": row.name, "reason": row.reason});
    Event::of(TownId::new(town), actor, action, outcome, at).detailed(what).record(tx).await
}

fn entry(app: &AppName, resource: &ResourceId) -> Select<orphans::Entity> {
    let key = (app.as_str().to_owned(), resource.kind().to_owned(), resource.id().to_owned());
    orphans::Entity::find_by_id(key)
}

fn ranges<'a>(tags: impl Iterator<Item = &'a TownTag>) -> BTreeSet<(Uuid, Uuid)> {
    tags.map(|tag| tag.range()).collect()
}

/// Towns that one of these ranges of ids names.
fn lies_in(ranges: &[(Uuid, Uuid)]) -> Condition {
    ranges.iter().fold(Condition::any(), |any, (first, last)| any.add(towns::Column::Id.between(*first, *last)))
}
