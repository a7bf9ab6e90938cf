use async_trait::async_trait;
use gastown_domain::ports::{
    Adopted, Adoption, AuditedEvent, EventFilter, HeldOperation, ListedTown, NewOperation, Operator, Readable,
    Registry as _, Requested, Retried, StoreError, TownDetails, TownFilter, TownHealth, Unreadable,
};
use gastown_domain::{OperationId, RecordedOperation, TownId};
use sea_orm::sea_query::{Expr, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait as _, Select,
};

use crate::dialect::{self, locked};
use crate::entity::{
    gastown_operations as operations, gastown_orphans as orphans, gastown_rigs as rigs, gastown_town_events as events,
    gastown_town_health as health, gastown_towns as towns,
};
use crate::error::{TxError, store_error};
use crate::events::{ACCEPTED, Event};
use crate::row::{decoded, each, log_unreadable};
use crate::{Database, adoption, request};

/// The result columns with the owner and the name of an operation's town.
const OWNER: &str = "town_owner";
const NAME: &str = "operation_town";

#[async_trait]
impl Operator for Database {
    async fn operations(&self, limit: u32) -> Result<Vec<Readable<HeldOperation>>, StoreError> {
        let most_failed_first = with_owner()
            .order_by_desc(operations::Column::Attempt)
            .order_by_asc(operations::Column::CreatedAt)
            .order_by_asc(operations::Column::TownId)
            .limit(u64::from(limit))
            .into_query();
        let rows = self.read(self.connection.query_all(&most_failed_first)).await?;
        let towns = rows.iter().map(|row| Ok(TownId::new(row.try_get("", "town_id")?)));
        let towns = towns.collect::<Result<Vec<_>, DbErr>>().map_err(store_error)?;
        Ok(rows.iter().zip(towns).map(|(row, town)| held(row).map_err(unreadable(town))).collect())
    }

    async fn towns(&self, filter: &TownFilter, limit: u32) -> Result<Vec<Readable<ListedTown>>, StoreError> {
        self.listed_towns(filter, limit).await
    }

    async fn audit(&self, filter: &EventFilter, limit: u32) -> Result<Vec<AuditedEvent>, StoreError> {
        self.audited_events(filter, limit).await
    }

    async fn town_details(
        &self,
        town: TownId,
        names: &[String],
        events: u32,
    ) -> Result<Option<TownDetails>, StoreError> {
        let Some(found) = self.load(town).await? else { return Ok(None) };
        Ok(Some(self.rows_of(town, names, events).await?.into_details(town, found)))
    }

    async fn is_known(&self, operation: OperationId) -> Result<bool, StoreError> {
        let id = operation.as_uuid();
        let in_flight = operations::Entity::find().filter(operations::Column::Id.eq(id)).into_query();
        if self.read(self.connection.query_one(&in_flight)).await?.is_some() {
            return Ok(true);
        }
        // An operation that has ended meanwhile has an event.
        let recorded = events::Entity::find().filter(events::Column::OperationId.eq(id)).limit(1).into_query();
        Ok(self.read(self.connection.query_one(&recorded)).await?.is_some())
    }

    async fn retry(&self, town: TownId, actor: &str) -> Result<Retried, StoreError> {
        let retried = self.in_tx("retry_operation", move |tx| async move { retry(&tx, town, actor).await });
        self.changed(town, retried.await)
    }

    async fn request_as(&self, operation: &NewOperation, actor: &str) -> Result<Requested, StoreError> {
        let requested =
            self.in_tx("request_operation", move |tx| async move { request::of_actor(&tx, operation, actor).await });
        self.changed(operation.town, requested.await)
    }

    async fn adopt(&self, adoption: &Adoption, actor: &str) -> Result<Adopted, StoreError> {
        self.in_tx("adopt_town", move |tx| async move { adoption::adopt(&tx, adoption, actor).await }).await
    }

    async fn destroy(&self, operation: &NewOperation, actor: &str) -> Result<Requested, StoreError> {
        self.in_tx("destroy_town", move |tx| async move { request::of_operator(&tx, operation, actor).await }).await
    }
}

/// The undecoded rows of a town.
struct TownRows {
    operation: Option<QueryResult>,
    events: Vec<QueryResult>,
    orphans: Vec<QueryResult>,
    rigs: Vec<QueryResult>,
    health: Option<QueryResult>,
}

impl Database {
    async fn rows_of(&self, town: TownId, names: &[String], events: u32) -> Result<TownRows, StoreError> {
        let operation = with_owner().filter(operations::Column::TownId.eq(town.as_uuid())).into_query();
        let health = health::Entity::find_by_id(town.as_uuid()).into_query();
        let rigs = crate::rigs::of_town(town).into_query();
        Ok(TownRows {
            operation: self.read(self.connection.query_one(&operation)).await?,
            events: self.read(self.connection.query_all(&latest_events(town, events))).await?,
            orphans: self.read(self.connection.query_all(&orphans_of(town, names))).await?,
            rigs: self.read(self.connection.query_all(&rigs)).await?,
            health: self.read(self.connection.query_one(&health)).await?,
        })
    }
}

impl TownRows {
    fn into_details(self, id: TownId, town: gastown_domain::Town) -> TownDetails {
        let mut skipped = Vec::new();
        let event = |row: events::Model| Ok(row.into_event());
        TownDetails {
            town,
            rigs: kept(id, &mut skipped, each::<rigs::Entity, _, _>(&self.rigs, rigs::Model::into_rig)),
            health: health_of(self.health.as_ref()).map_err(unreadable(id)),
            operation: self.operation.as_ref().map(|row| held(row).map_err(unreadable(id))),
            events: kept(id, &mut skipped, each::<events::Entity, _, _>(&self.events, event)),
            orphans: kept(id, &mut skipped, each::<orphans::Entity, _, _>(&self.orphans, orphans::Model::into_orphan)),
            unreadable: skipped,
        }
    }
}

fn latest_events(town: TownId, limit: u32) -> SelectStatement {
    events::Entity::find()
        .filter(events::Column::TownId.eq(town.as_uuid()))
        .order_by_desc(events::Column::At)
        .order_by_desc(events::Column::Id)
        .limit(u64::from(limit))
        .into_query()
}

/// Selects the orphans of a town, by its id or by its resource names.
///
/// A volume that was observed while its town was not registered, as after a restored backup, has only its name.
fn orphans_of(town: TownId, names: &[String]) -> SelectStatement {
    let is_of_town = Condition::any()
        .add(orphans::Column::TownId.eq(town.as_uuid()))
        .add(orphans::Column::Name.is_in(names.iter().map(String::as_str)));
    orphans::Entity::find().filter(is_of_town).order_by_asc(orphans::Column::FirstSeenAt).into_query()
}

pub(crate) fn with_owner() -> Select<operations::Entity> {
    operations::Entity::find()
        .column_as(towns::Column::UserId, OWNER)
        .column_as(towns::Column::TownName, NAME)
        .inner_join(towns::Entity)
}

/// Decodes the health of a town, which is the default without a row.
pub(crate) fn health_of(row: Option<&QueryResult>) -> Result<TownHealth, StoreError> {
    let Some(row) = row else { return Ok(TownHealth::default()) };
    decoded::<health::Entity, health::Model>(row, "")?.into_health()
}

/// Returns a function that logs an error and names the unreadable row of this town.
pub(crate) fn unreadable(town: TownId) -> impl Fn(StoreError) -> Unreadable {
    move |error| {
        log_unreadable(&error);
        Unreadable { town, which: error.to_string() }
    }
}

/// Keeps the readable rows and adds the others to `skipped`.
fn kept<T>(town: TownId, skipped: &mut Vec<Unreadable>, rows: impl Iterator<Item = Result<T, StoreError>>) -> Vec<T> {
    rows.filter_map(|row| row.map_err(|error| skipped.push(unreadable(town)(error))).ok()).collect()
}

pub(crate) fn held(row: &QueryResult) -> Result<HeldOperation, StoreError> {
    let owner: String = row.try_get("", OWNER).map_err(store_error)?;
    let name = row.try_get("", NAME).map_err(store_error)?;
    decoded::<operations::Entity, operations::Model>(row, "")?.into_held(&owner, name)
}

async fn retry(tx: &DatabaseTransaction, town: TownId, actor: &str) -> Result<Retried, TxError> {
    if locked(towns::Entity::find_by_id(town.as_uuid())).one(tx).await?.is_none() {
        return Ok(Retried::NotFound);
    }
    let current = locked(operations::Entity::find_by_id(town.as_uuid())).one(tx).await?;
    let Some(current) = current else { return Ok(Retried::NothingInFlight) };
    let current = current.into_operation()?;
    if current.is_newer() {
        return Ok(Retried::Newer(Box::new(current)));
    }
    let Some(operation) = make_due(tx, town).await? else { return Ok(Retried::NothingInFlight) };
    Event::of(town, actor, "retry", ACCEPTED, operation.next_attempt_at).on(&operation).record(tx).await?;
    Ok(Retried::Due(Box::new(operation)))
}

/// Makes the operation of a town due now and resets its failures. The claim stays with its holder.
async fn make_due(tx: &DatabaseTransaction, town: TownId) -> Result<Option<RecordedOperation>, TxError> {
    let due = operations::Entity::update_many()
        .col_expr(operations::Column::NextAttemptAt, Expr::value(dialect::now(tx).await?))
        .col_expr(operations::Column::Attempt, Expr::value(0i64))
        .col_expr(operations::Column::LastError, Expr::value(Option::<String>::None))
        .filter(operations::Column::TownId.eq(town.as_uuid()))
        .exec_with_returning(tx)
        .await?;
    Ok(due.into_iter().next().map(operations::Model::into_operation).transpose()?)
}
