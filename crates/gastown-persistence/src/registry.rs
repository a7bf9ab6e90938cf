use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{AcceptedCreate, KeyedRequest, NewCreate, Registry, StoreError, TownHealth};
use gastown_domain::{NewTown, Phase, Progress, SandboxId, Town, TownId, TownStatus, UserId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QueryTrait as _, Select, Set,
};

use crate::calendar::truncated;
use crate::dialect::{self, locked};
use crate::entity::{gastown_town_health as health, gastown_towns as towns};
use crate::error::{Stop, unwritable};
use crate::events::{Event, create_of_key};
use crate::row::each;
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
    async fn accept_create(&self, create: &NewCreate) -> Result<AcceptedCreate, StoreError> {
        if has_twins(&create.town) {
            return Err(StoreError::RigNameTaken);
        }
        self.in_tx("accept_create", move |tx| async move { accept(&tx, create).await }).await
    }

    async fn find(&self, owner: &UserId, town: TownId) -> Result<Option<Town>, StoreError> {
        let row = self.answer(living_of(owner, town).one(&self.connection)).await?;
        row.map(towns::Model::into_town).transpose()
    }

    async fn list(&self, owner: &UserId) -> Result<Vec<Town>, StoreError> {
        let found = living()
            .filter(towns::Column::UserId.eq(owner.as_str()))
            .order_by_asc(towns::Column::CreatedAt)
            .order_by_asc(towns::Column::Id)
            .into_query();
        let rows = self.answer(self.connection.query_all(&found)).await?;
        Ok(each::<towns::Entity, _, _>(&rows, towns::Model::into_town))
    }

    async fn load(&self, town: TownId) -> Result<Option<Town>, StoreError> {
        let row = self.answer(towns::Entity::find_by_id(town.as_uuid()).one(&self.connection)).await?;
        row.map(towns::Model::into_town).transpose()
    }

    async fn heartbeat(&self, town: TownId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let at = truncated(at);
        self.in_tx("heartbeat", move |tx| async move {
            let living = towns::Entity::find_by_id(town.as_uuid()).filter(towns::Column::DestroyedAt.is_null());
            let Some(row) = locked(living).one(&*tx).await? else { return Ok(false) };
            let latest = row.last_heartbeat_at.map_or(at, |known| known.max(at));
            let mut row = row.into_active_model();
            row.last_heartbeat_at = Set(Some(latest));
            row.update(&*tx).await.map_err(Stop::writing("gastown_towns"))?;
            crate::health::reported(&tx, town, latest).await?;
            Ok(true)
        })
        .await
    }

    async fn health(&self, town: TownId) -> Result<TownHealth, StoreError> {
        let row = self.answer(health::Entity::find_by_id(town.as_uuid()).one(&self.connection)).await?;
        row.map_or_else(|| Ok(TownHealth::default()), health::Model::into_health)
    }
}

/// Town, rigs, operation and the note of who asked, or the town of an earlier request of this key.
async fn accept(tx: &DatabaseTransaction, create: &NewCreate) -> Result<AcceptedCreate, Stop> {
    let NewCreate { town, operation, keyed, max_towns } = create;
    // Creates of one owner come one after the other: a repeat finds the first, and none is missed in the count.
    dialect::alone_for(&town.owner, tx).await?;
    if let Some(known) = known(tx, town, keyed.as_ref()).await? {
        return Ok(known);
    }
    let count = living().filter(towns::Column::UserId.eq(town.owner.as_str())).count(tx).await?;
    if count >= u64::from(*max_towns) {
        return Err(StoreError::TooManyTowns { limit: *max_towns }.into());
    }
    insert_town(tx, town).await?;
    for rig in &town.rigs {
        rigs::insert(tx, rig).await?;
    }
    let operation = request::insert(tx, operation, Phase::Begun, &Progress::default()).await?;
    Event::accepted(&operation).keyed(keyed.as_ref()).record(tx).await?;
    Ok(AcceptedCreate::Inserted)
}

/// What this request made before, where it is a repeat.
async fn known(
    tx: &DatabaseTransaction,
    town: &NewTown,
    keyed: Option<&KeyedRequest>,
) -> Result<Option<AcceptedCreate>, Stop> {
    let Some(request) = keyed else { return Ok(None) };
    let Some(before) = create_of_key(tx, &town.owner, &request.key).await? else { return Ok(None) };
    let asked_the_same = match &before.fingerprint {
        Some(fingerprint) => fingerprint == request.fingerprint.as_str(),
        // Of requests that were accepted before fingerprints were kept, the name alone is known.
        None => name_of(tx, before.town).await?.as_deref() == Some(town.name.as_str()),
    };
    if !asked_the_same {
        return Err(StoreError::KeyReused.into());
    }
    Ok(Some(AcceptedCreate::Known { town: before.town, operation: before.operation }))
}

async fn name_of(tx: &DatabaseTransaction, town: TownId) -> Result<Option<String>, DbErr> {
    Ok(towns::Entity::find_by_id(town.as_uuid()).one(tx).await?.map(|row| row.town_name))
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
