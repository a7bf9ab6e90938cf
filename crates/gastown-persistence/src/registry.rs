use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{AcceptedCreate, IdempotencyKey, NewOperation, Registry, StoreError, TownHealth};
use gastown_domain::{NewTown, SandboxId, Town, TownId, TownStatus, UserId};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, DatabaseTransaction, EntityTrait, QueryFilter as _, QueryOrder as _,
    Select, Set,
};

use crate::entity::{gastown_town_health as health, gastown_towns as towns};
use crate::error::{Stop, unwritable};
use crate::events::{Event, town_of_key};
use crate::row::{readable, truncated};
use crate::{Database, request, rigs};

/// The owner's living town of this id: what every call of a user begins with.
pub(crate) fn living_of(owner: &UserId, town: TownId) -> Select<towns::Entity> {
    living().filter(towns::Column::Id.eq(town.as_uuid())).filter(towns::Column::UserId.eq(owner.as_str()))
}

fn living() -> Select<towns::Entity> {
    towns::Entity::find().filter(towns::Column::DestroyedAt.is_null())
}

#[async_trait]
impl Registry for Database {
    async fn accept_create(
        &self,
        town: &NewTown,
        operation: &NewOperation,
        key: Option<IdempotencyKey>,
    ) -> Result<AcceptedCreate, StoreError> {
        let key = key.as_ref();
        if has_twins(town) {
            return Err(StoreError::RigNameTaken);
        }
        let accepted =
            self.in_tx("accept_create", move |tx| async move { accept(&tx, town, operation, key).await }).await;
        match accepted {
            // The same request may have come twice at once: the loser finds the winner's town.
            Err(lost @ (StoreError::TownNameTaken | StoreError::KeyReused)) if key.is_some() => {
                let known = self.in_tx("find_accepted", move |tx| async move { known(&tx, town, key).await }).await?;
                known.ok_or(lost)
            }
            other => other,
        }
    }

    async fn find(&self, owner: &UserId, town: TownId) -> Result<Option<Town>, StoreError> {
        let row = self.answer(living_of(owner, town).one(&self.connection)).await?;
        row.map(towns::Model::into_town).transpose()
    }

    async fn list(&self, owner: &UserId) -> Result<Vec<Town>, StoreError> {
        let found = living()
            .filter(towns::Column::UserId.eq(owner.as_str()))
            .order_by_asc(towns::Column::CreatedAt)
            .order_by_asc(towns::Column::Id);
        let rows = self.answer(found.all(&self.connection)).await?;
        Ok(readable(rows.into_iter().map(towns::Model::into_town)))
    }

    async fn load(&self, town: TownId) -> Result<Option<Town>, StoreError> {
        let row = self.answer(towns::Entity::find_by_id(town.as_uuid()).one(&self.connection)).await?;
        row.map(towns::Model::into_town).transpose()
    }

    async fn heartbeat(&self, town: TownId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.advance("heartbeat", town, towns::Column::LastHeartbeatAt, at).await
    }

    async fn synced(&self, town: TownId, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.advance("synced", town, towns::Column::LastR2SyncAt, at).await.map(|_| ())
    }

    async fn health(&self, town: TownId) -> Result<TownHealth, StoreError> {
        let row = self.answer(health::Entity::find_by_id(town.as_uuid()).one(&self.connection)).await?;
        row.map_or_else(|| Ok(TownHealth::default()), health::Model::into_health)
    }
}

impl Database {
    /// Moves a time of a living town forwards, never backwards; answers whether there is such a town.
    async fn advance(
        &self,
        name: &'static str,
        town: TownId,
        column: towns::Column,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let at = truncated(at);
        let later = &CaseStatement::new().case(Expr::col(column).gt(at), Expr::col(column)).finally(Expr::value(at));
        self.in_tx(name, move |tx| async move {
            let updated = towns::Entity::update_many()
                .col_expr(column, later.clone().into())
                .filter(towns::Column::Id.eq(town.as_uuid()))
                .filter(towns::Column::DestroyedAt.is_null())
                .exec(&*tx)
                .await?;
            Ok(updated.rows_affected == 1)
        })
        .await
    }
}

/// Town, rigs, operation and the note of who asked, or the town of an earlier request of this key.
async fn accept(
    tx: &DatabaseTransaction,
    town: &NewTown,
    operation: &NewOperation,
    key: Option<&IdempotencyKey>,
) -> Result<AcceptedCreate, Stop> {
    if let Some(known) = known(tx, town, key).await? {
        return Ok(known);
    }
    insert_town(tx, town).await?;
    for rig in &town.rigs {
        rigs::insert(tx, rig).await?;
    }
    let operation = request::insert(tx, operation).await?;
    Event::accepted(&operation, key).record(tx).await?;
    Ok(AcceptedCreate::Inserted)
}

/// The town that this request made before, where it is a repeat.
async fn known(
    tx: &DatabaseTransaction,
    town: &NewTown,
    key: Option<&IdempotencyKey>,
) -> Result<Option<AcceptedCreate>, Stop> {
    let Some(key) = key else { return Ok(None) };
    let Some(id) = town_of_key(tx, &town.owner, key).await? else { return Ok(None) };
    let Some(row) = towns::Entity::find_by_id(id.as_uuid()).one(tx).await? else { return Ok(None) };
    match row.into_town()? {
        before if before.name == town.name => Ok(Some(AcceptedCreate::Known(Box::new(before)))),
        _ => Err(StoreError::KeyReused.into()),
    }
}

async fn insert_town(tx: &DatabaseTransaction, town: &NewTown) -> Result<(), Stop> {
    let row = towns::ActiveModel {
        id: Set(town.id.as_uuid()),
        user_id: Set(town.owner.as_str().to_owned()),
        town_name: Set(town.name.as_str().to_owned()),
        sandbox_id: Set(SandboxId::derive(&town.owner, &town.name).as_str().to_owned()),
        fly_machine_id: Set(None),
        fly_volume_id: Set(None),
        fly_region: Set(Some(town.region.as_str().to_owned())),
        status: Set(TownStatus::Provisioning.as_str().to_owned()),
        last_r2_sync_at: Set(None),
        last_heartbeat_at: Set(None),
        config: Set(Some(serde_json::to_value(&town.config).map_err(unwritable)?)),
        created_at: Set(truncated(town.created_at)),
        destroyed_at: Set(None),
    };
    row.insert(tx).await.map(|_| ()).map_err(Stop::writing("gastown_towns"))
}

/// Whether two of the first rigs share a name, in some spelling of case.
fn has_twins(town: &NewTown) -> bool {
    let mut seen = HashSet::new();
    !town.rigs.iter().all(|rig| seen.insert(rig.name.folded()))
}
