use async_trait::async_trait;
use gastown_domain::ports::{NewOperation, Requested, Rigs, StoreError};
use gastown_domain::{Branch, IdleStop, RefusedRig, Rig, RigId, RigStatus, TownId, TownStatus, UserId};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Order, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
};
use serde_json::{Value, json};

use crate::Database;
use crate::calendar::truncated;
use crate::dialect::{self, locked};
use crate::entity::{gastown_rigs as rigs, gastown_towns as towns};
use crate::error::TxError;
use crate::events::{ACCEPTED, CONTROL_PLANE, DONE, Event};
use crate::row::each_readable;
use crate::town_queries::{is_idle, live_town_of};
use crate::{health, idle, request};

/// Selects the rigs of a town, oldest first.
pub(crate) fn of_town(town: TownId) -> Select<rigs::Entity> {
    rigs::Entity::find()
        .filter(rigs::Column::TownId.eq(town.as_uuid()))
        .order_by_asc(rigs::Column::CreatedAt)
        .order_by_asc(rigs::Column::Id)
}

/// Inserts rigs with one statement. The caller has compared their names with those of the town's other rigs.
pub(crate) async fn insert(tx: &impl ConnectionTrait, rigs: &[Rig]) -> Result<(), TxError> {
    if rigs.is_empty() {
        return Ok(());
    }
    let insert = rigs::Entity::insert_many(rigs.iter().map(row_of));
    insert.exec_without_returning(tx).await.map(|_| ()).map_err(TxError::writing("gastown_rigs"))
}

fn row_of(rig: &Rig) -> rigs::ActiveModel {
    rigs::ActiveModel {
        id: Set(rig.id.as_uuid()),
        town_id: Set(rig.town.as_uuid()),
        rig_name: Set(rig.name.as_str().to_owned()),
        repo_url: Set(rig.repo.as_str().to_owned()),
        branch: Set(rig.branch.as_ref().map(|branch| branch.as_str().to_owned())),
        status: Set(rig.status.as_str().to_owned()),
        config: Set(Some(Value::Object(rig.config.clone()))),
        created_at: Set(truncated(rig.created_at)),
    }
}

#[async_trait]
impl Rigs for Database {
    async fn list(&self, town: TownId) -> Result<Vec<Rig>, StoreError> {
        let rows = self.read(self.connection.query_all(&of_town(town).into_query())).await?;
        Ok(each_readable::<rigs::Entity, _, _>(&rows, rigs::Model::into_rig))
    }

    async fn find(&self, town: TownId, rig: RigId) -> Result<Option<Rig>, StoreError> {
        let found = rigs::Entity::find_by_id(rig.as_uuid()).filter(rigs::Column::TownId.eq(town.as_uuid()));
        self.read(found.one(&self.connection)).await?.map(rigs::Model::into_rig).transpose()
    }

    async fn insert(&self, owner: &UserId, rig: &Rig, max_rigs: u32) -> Result<(), StoreError> {
        let by = (max_rigs, owner.as_str());
        self.in_tx("insert_rig", move |tx| async move { add(&tx, owner, rig, by).await.map(drop) }).await
    }

    async fn insert_starting(
        &self,
        owner: &UserId,
        rig: &Rig,
        max_rigs: u32,
        start: &NewOperation,
    ) -> Result<Option<IdleStop>, StoreError> {
        let added = self.in_tx("insert_rig_and_start", move |tx| async move {
            let town = add(&tx, owner, rig, (max_rigs, owner.as_str())).await?.into_town()?;
            let Some(stop) = idle::stop_of(&tx, &town).await? else { return Ok(None) };
            let requested = request::of_owner(&tx, start).await?;
            Ok(matches!(requested, Requested::Accepted(_)).then_some(stop))
        });
        self.changed(rig.town, added.await)
    }

    async fn set_status(&self, town: TownId, rig: RigId, from: RigStatus, to: RigStatus) -> Result<bool, StoreError> {
        let update = || {
            rigs::Entity::update_many()
                .col_expr(rigs::Column::Status, Expr::value(to.as_str()))
                .filter(rigs::Column::Id.eq(rig.as_uuid()))
                .filter(rigs::Column::TownId.eq(town.as_uuid()))
                .filter(rigs::Column::Status.eq(from.as_str()))
                .exec(&self.connection)
        };
        Ok(self.write_once("set_rig_status", update).await?.rows_affected == 1)
    }

    async fn confirm(&self, town: TownId, rig: RigId, branch: Option<Branch>) -> Result<(), StoreError> {
        let branch = branch.as_ref().map(Branch::as_str);
        let update = || {
            let known = Func::coalesce([Expr::col(rigs::Column::Branch), Expr::value(branch)]);
            rigs::Entity::update_many()
                .col_expr(rigs::Column::Status, Expr::value(RigStatus::Active.as_str()))
                .col_expr(rigs::Column::Branch, known.into())
                .filter(rigs::Column::Id.eq(rig.as_uuid()))
                .filter(rigs::Column::TownId.eq(town.as_uuid()))
                .filter(rigs::Column::Status.ne(RigStatus::Removing.as_str()))
                .exec(&self.connection)
        };
        self.write_once("confirm_rig", update).await.map(|_| ())
    }

    async fn refuse(&self, town: TownId, rig: RigId, reason: &str) -> Result<bool, StoreError> {
        let refused = self.in_tx("refuse_rig", move |tx| async move { refuse(&tx, town, rig, reason).await });
        self.changed(town, refused.await)
    }

    async fn remove(&self, town: TownId, rig: RigId, from: RigStatus) -> Result<bool, StoreError> {
        self.in_tx("remove_rig", move |tx| async move { remove(&tx, town, rig, from).await }).await
    }

    /// Returns the towns in random order, so that towns whose rigs cannot be applied do not delay the others.
    async fn towns_with_unapplied_rigs(&self, limit: u32) -> Result<Vec<TownId>, StoreError> {
        let ids = self.read(with_unapplied_rigs(limit).into_tuple::<uuid::Uuid>().all(&self.connection)).await?;
        Ok(ids.into_iter().map(TownId::new).collect())
    }
}

impl Database {
    /// Inserts a rig as [`Rigs::insert`] does. The event names the operator `actor` instead of the owner.
    pub async fn insert_rig_as(&self, owner: &UserId, rig: &Rig, max_rigs: u32, actor: &str) -> Result<(), StoreError> {
        let by = (max_rigs, actor);
        self.in_tx("insert_rig", move |tx| async move { add(&tx, owner, rig, by).await.map(drop) }).await
    }
}

/// Inserts a rig and its event, within the limit of the town's rigs. Returns the town, whose row is locked.
async fn add(
    tx: &DatabaseTransaction,
    owner: &UserId,
    rig: &Rig,
    (max_rigs, actor): (u32, &str),
) -> Result<towns::Model, TxError> {
    let town = locked(live_town_of(owner, rig.town)).one(tx).await?;
    let town = town.ok_or(StoreError::TownNotFound)?;
    let (rigs, with_name) = counts(tx, rig).await?;
    if with_name > 0 {
        return Err(StoreError::RigNameTaken.into());
    }
    if rigs >= i64::from(max_rigs) {
        return Err(StoreError::TooManyRigs { limit: max_rigs }.into());
    }
    insert(tx, std::slice::from_ref(rig)).await?;
    let event = Event::of(rig.town, actor, "add_rig", ACCEPTED, rig.created_at);
    event.detailed(json!({"rig_id": rig.id, "rig_name": rig.name})).record(tx).await?;
    Ok(town)
}

/// Returns the number of rigs of a rig's town, and of those with its name in any case. The rows stay in the database.
async fn counts(tx: &DatabaseTransaction, rig: &Rig) -> Result<(i64, i64), DbErr> {
    let has_name = Func::lower(Expr::col(rigs::Column::RigName)).eq(rig.name.folded());
    let with_name = Func::count(Expr::case(has_name, 1).finally(Option::<i32>::None));
    let counts = rigs::Entity::find()
        .select_only()
        .column_as(rigs::Column::Id.count(), "rigs")
        .expr_as(with_name, "with_name")
        .filter(rigs::Column::TownId.eq(rig.town.as_uuid()));
    Ok(counts.into_tuple().one(tx).await?.unwrap_or_default())
}

async fn remove(tx: &DatabaseTransaction, town: TownId, rig: RigId, from: RigStatus) -> Result<bool, TxError> {
    let Some(row) = towns::Entity::find_by_id(town.as_uuid()).one(tx).await? else { return Ok(false) };
    let owner = row.into_town()?.owner;
    if !delete(tx, town, rig, from).await? {
        return Ok(false);
    }
    let event = Event::of(town, owner.as_str(), "remove_rig", DONE, dialect::now(tx).await?);
    event.detailed(json!({"rig_id": rig})).record(tx).await?;
    Ok(true)
}

async fn refuse(tx: &DatabaseTransaction, town: TownId, rig: RigId, reason: &str) -> Result<bool, TxError> {
    // The lock excludes other writers of the town's health.
    if locked(towns::Entity::find_by_id(town.as_uuid())).one(tx).await?.is_none() {
        return Ok(false);
    }
    let found = rigs::Entity::find_by_id(rig.as_uuid()).filter(rigs::Column::TownId.eq(town.as_uuid()));
    let Some(row) = found.one(tx).await? else { return Ok(false) };
    if !delete(tx, town, rig, RigStatus::Pending).await? {
        return Ok(false);
    }
    let (now, row) = (dialect::now(tx).await?, row.into_rig()?);
    let detail = json!({"rig_id": rig, "rig_name": row.name, "repo_url": row.repo, "reason": reason});
    let refused =
        RefusedRig { rig_name: row.name, repo_url: row.repo, reason: reason.to_owned(), refused_at: truncated(now) };
    health::refused(tx, town, refused).await?;
    Event::of(town, CONTROL_PLANE, "rig_refused", DONE, now).detailed(detail).record(tx).await?;
    Ok(true)
}

/// Deletes the row of a rig with this status. Returns false if there is none.
async fn delete(tx: &DatabaseTransaction, town: TownId, rig: RigId, from: RigStatus) -> Result<bool, TxError> {
    let deleted = rigs::Entity::delete_many()
        .filter(rigs::Column::Id.eq(rig.as_uuid()))
        .filter(rigs::Column::TownId.eq(town.as_uuid()))
        .filter(rigs::Column::Status.eq(from.as_str()))
        .exec(tx)
        .await?;
    Ok(deleted.rows_affected > 0)
}

/// Selects the ids of live, running, idle towns with unapplied rigs. Only towns with such rigs are read and sorted.
fn with_unapplied_rigs(limit: u32) -> Select<towns::Entity> {
    // A literal instead of a parameter, because SQLite uses a partial index only if the statement repeats its condition.
    let active = Expr::cust(format!("'{}'", RigStatus::Active.as_str()));
    let unapplied = Query::select()
        .column(rigs::Column::TownId)
        .from(rigs::Entity)
        .and_where(Expr::col(rigs::Column::Status).ne(active))
        .take();
    towns::Entity::find()
        .select_only()
        .column(towns::Column::Id)
        .filter(towns::Column::DestroyedAt.is_null())
        .filter(towns::Column::Status.eq(TownStatus::Running.as_str()))
        .filter(towns::Column::Id.in_subquery(unapplied))
        .filter(is_idle())
        .order_by(Expr::cust("random()"), Order::Asc)
        .limit(u64::from(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::tests::plans;

    #[tokio::test]
    async fn unapplied_rigs_are_found_by_their_index() {
        for plan in plans(&with_unapplied_rigs(10).into_query()).await {
            assert!(plan.contains("gastown_rigs_unsettled_idx"), "{plan}");
        }
    }
}
