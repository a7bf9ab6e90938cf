use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{
    AcceptedCreate, Caller, CallersTown, ConfigUpdated, EventPage, KeyedRequest, NewCreate, Registry, StoreError,
    TownReport, TownSummary, UpdateTown,
};
use gastown_domain::{
    Heartbeat, HistoryEvent, IdleMinutes, NewTown, Phase, Progress, SandboxId, Town, TownId, TownStatus, UserId,
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait,
    PaginatorTrait as _, QueryFilter as _, QuerySelect as _, Set,
};
use uuid::Uuid;

use crate::calendar::truncated;
use crate::entity::gastown_towns as towns;
use crate::error::{TxError, unwritable};
use crate::events::{Event, KeyedCreate, create_of_key};
use crate::town_queries::live_towns_of;
use crate::{Database, config_updates, dialect, heartbeats, idle, request, rigs};

/// The most ids of one statement.
const MAX_IDS: usize = 1000;

#[async_trait]
impl Registry for Database {
    async fn accept_create(&self, create: &NewCreate) -> Result<AcceptedCreate, StoreError> {
        if has_duplicate_rigs(&create.town) {
            return Err(StoreError::RigNameTaken);
        }
        self.in_tx("accept_create", move |tx| async move { accept(&tx, create, None).await }).await
    }

    async fn report(&self, caller: &Caller, town: TownId) -> Result<Option<TownReport>, StoreError> {
        self.report_of(caller, town).await
    }

    async fn callers_town(&self, caller: &Caller, town: TownId) -> Result<Option<CallersTown>, StoreError> {
        self.town_of(caller, town).await
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<TownSummary>, StoreError> {
        self.towns_of(caller).await
    }

    async fn events(&self, caller: &Caller, page: EventPage) -> Result<Option<Vec<HistoryEvent>>, StoreError> {
        self.events_of(caller, page).await
    }

    async fn owners(&self, towns: &[TownId]) -> Result<Vec<(TownId, UserId)>, StoreError> {
        let mut owners = Vec::with_capacity(towns.len());
        for part in towns.chunks(MAX_IDS) {
            let ids = part.iter().map(|town| town.as_uuid());
            let rows = towns::Entity::find().filter(towns::Column::Id.is_in(ids));
            let rows = rows.select_only().column(towns::Column::Id).column(towns::Column::UserId);
            let rows = self.read(rows.into_tuple::<(Uuid, String)>().all(&self.connection)).await?;
            // A row whose owner cannot be read has no watcher.
            owners.extend(rows.into_iter().filter_map(|(id, owner)| Some((TownId::new(id), owner.parse().ok()?))));
        }
        Ok(owners)
    }

    async fn load(&self, town: TownId) -> Result<Option<Town>, StoreError> {
        let row = self.read(towns::Entity::find_by_id(town.as_uuid()).one(&self.connection)).await?;
        row.map(towns::Model::into_town).transpose()
    }

    async fn update_config(&self, owner: &UserId, request: &UpdateTown) -> Result<ConfigUpdated, StoreError> {
        self.in_tx("update_config", move |tx| async move { config_updates::update(&tx, owner, request).await }).await
    }

    async fn record_use(&self, town: TownId, minutes: IdleMinutes) -> Result<(), StoreError> {
        let used = &idle::use_of(self.connection.get_database_backend(), town, minutes)?;
        self.write_once("record_use", || self.connection.execute(used)).await.map(drop)
    }

    async fn lives(&self, town: TownId) -> Result<bool, StoreError> {
        let live = towns::Entity::find_by_id(town.as_uuid()).filter(towns::Column::DestroyedAt.is_null());
        let live = live.select_only().column(towns::Column::Id).into_tuple::<Uuid>();
        Ok(self.read(live.one(&self.connection)).await?.is_some())
    }

    async fn record_heartbeats(&self, heartbeats: &[Heartbeat]) -> Result<Vec<TownId>, StoreError> {
        if heartbeats.is_empty() {
            return Ok(Vec::new());
        }
        self.in_tx("record_heartbeats", move |tx| async move { heartbeats::record(&tx, heartbeats).await }).await
    }

    async fn record_token(&self, town: TownId, expires_at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.in_tx("record_token", move |tx| async move { heartbeats::record_token(&tx, town, expires_at).await }).await
    }
}

impl Database {
    /// Inserts a town as [`Registry::accept_create`] does. The event names the operator `actor` instead of the owner.
    pub async fn accept_create_as(&self, create: &NewCreate, actor: &str) -> Result<AcceptedCreate, StoreError> {
        if has_duplicate_rigs(&create.town) {
            return Err(StoreError::RigNameTaken);
        }
        self.in_tx("accept_create", move |tx| async move { accept(&tx, create, Some(actor)).await }).await
    }
}

/// Inserts town, rigs, operation and event, or returns the create of an earlier request with the same key. The event names the
/// owner, unless there is another actor.
async fn accept(tx: &DatabaseTransaction, create: &NewCreate, actor: Option<&str>) -> Result<AcceptedCreate, TxError> {
    let NewCreate { town, operation, keyed, max_towns } = create;
    // With creates of one owner in sequence, a repeat finds the first one, and the count misses none.
    dialect::serialize_creates_of(&town.owner, tx).await?;
    if let Some(known) = known(tx, town, keyed.as_ref()).await? {
        return Ok(known);
    }
    if live_towns_of(&town.owner).count(tx).await? >= u64::from(*max_towns) {
        return Err(StoreError::TooManyTowns { limit: *max_towns }.into());
    }
    insert_town(tx, town).await?;
    rigs::insert(tx, &town.rigs).await?;
    if town.config.idle_stop_minutes.is_some() {
        idle::set(tx, town.id, town.config.idle_stop_minutes).await?;
    }
    let progress = Progress { actor: actor.map(ToOwned::to_owned), ..Progress::default() };
    let operation = request::insert(tx, operation, Phase::Begun, &progress).await?;
    Event::accepted(&operation).keyed(keyed.as_ref()).record(tx).await?;
    Ok(AcceptedCreate::Inserted(Box::new(operation)))
}

/// Returns the create of an earlier request with the same key, or `KeyReused` if that request was a different one.
async fn known(
    tx: &DatabaseTransaction,
    town: &NewTown,
    keyed: Option<&KeyedRequest>,
) -> Result<Option<AcceptedCreate>, TxError> {
    let Some(request) = keyed else { return Ok(None) };
    let Some(before) = create_of_key(tx, &town.owner, &request.key).await? else { return Ok(None) };
    if !is_repeat(tx, &before, town, request).await? {
        return Err(StoreError::KeyReused.into());
    }
    Ok(Some(AcceptedCreate::Known { town: before.town, operation: before.operation }))
}

async fn is_repeat(
    tx: &DatabaseTransaction,
    before: &KeyedCreate,
    town: &NewTown,
    request: &KeyedRequest,
) -> Result<bool, DbErr> {
    match &before.fingerprint {
        Some(fingerprint) => Ok(fingerprint == request.fingerprint.as_str()),
        // Requests that are older than fingerprints are compared by the town's name only.
        None => Ok(name_of(tx, before.town).await?.as_deref() == Some(town.name.as_str())),
    }
}

async fn name_of(tx: &DatabaseTransaction, town: TownId) -> Result<Option<String>, DbErr> {
    Ok(towns::Entity::find_by_id(town.as_uuid()).one(tx).await?.map(|row| row.town_name))
}

async fn insert_town(tx: &DatabaseTransaction, town: &NewTown) -> Result<(), TxError> {
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
    row.insert(tx).await.map(|_| ()).map_err(TxError::writing("gastown_towns"))
}

/// Returns true if two of the first rigs have the same name, ignoring case.
fn has_duplicate_rigs(town: &NewTown) -> bool {
    let mut seen = HashSet::new();
    !town.rigs.iter().all(|rig| seen.insert(rig.name.folded()))
}
