use async_trait::async_trait;
use gastown_domain::TownId;
use gastown_domain::ports::{
    HeldOperation, NewOperation, Operator, Readable, Registry as _, Requested, Retried, StoreError, TownDetails,
    TownHealth, Unreadable,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait as _, Select,
};

use crate::dialect::{self, locked};
use crate::entity::{
    gastown_operations as operations, gastown_orphans as orphans, gastown_rigs as rigs, gastown_town_events as events,
    gastown_town_health as health, gastown_towns as towns,
};
use crate::error::{Stop, store_error};
use crate::events::{ACCEPTED, Event};
use crate::row::{decoded, each_read, report};
use crate::{Database, request};

/// The column of an operation's town that says whose it is.
const OWNER: &str = "town_owner";

#[async_trait]
impl Operator for Database {
    async fn operations(&self, limit: u32) -> Result<Vec<Readable<HeldOperation>>, StoreError> {
        let most_failed_first = with_owner()
            .order_by_desc(operations::Column::Attempt)
            .order_by_asc(operations::Column::CreatedAt)
            .order_by_asc(operations::Column::TownId)
            .limit(u64::from(limit))
            .into_query();
        let rows = self.answer(self.connection.query_all(&most_failed_first)).await?;
        let towns = rows.iter().map(|row| Ok(TownId::new(row.try_get("", "town_id")?)));
        let towns = towns.collect::<Result<Vec<_>, DbErr>>().map_err(store_error)?;
        Ok(rows.iter().zip(towns).map(|(row, town)| held(row).map_err(named(town))).collect())
    }

    async fn town_details(&self, town: TownId, events: u32) -> Result<Option<TownDetails>, StoreError> {
        let Some(found) = self.load(town).await? else { return Ok(None) };
        let in_flight = with_owner().filter(operations::Column::TownId.eq(town.as_uuid())).into_query();
        let in_flight = self.answer(self.connection.query_one(&in_flight)).await?;
        let newest_first = events::Entity::find()
            .filter(events::Column::TownId.eq(town.as_uuid()))
            .order_by_desc(events::Column::At)
            .order_by_desc(events::Column::Id)
            .limit(u64::from(events))
            .into_query();
        let events = self.answer(self.connection.query_all(&newest_first)).await?;
        // A volume that was seen while its town was not registered, as after a restored backup, says its name only.
        let its_own = Condition::any()
            .add(orphans::Column::TownId.eq(town.as_uuid()))
            .add(orphans::Column::Name.is_in([town.machine_name(), town.volume_name()]));
        let oldest_first = orphans::Entity::find().filter(its_own).order_by_asc(orphans::Column::FirstSeenAt);
        let orphans = self.answer(self.connection.query_all(&oldest_first.into_query())).await?;
        let rigs = self.answer(self.connection.query_all(&crate::rigs::of_town(town).into_query())).await?;
        let health = health::Entity::find_by_id(town.as_uuid()).into_query();
        let health = self.answer(self.connection.query_one(&health)).await?;
        let mut unreadable = Vec::new();
        Ok(Some(TownDetails {
            town: found,
            rigs: kept(town, &mut unreadable, each_read::<rigs::Entity, _, _>(&rigs, rigs::Model::into_rig)),
            health: known(health.as_ref()).map_err(named(town)),
            operation: in_flight.as_ref().map(|row| held(row).map_err(named(town))),
            events: kept(
                town,
                &mut unreadable,
                each_read::<events::Entity, _, _>(&events, |row: events::Model| Ok(row.into_event())),
            ),
            orphans: kept(
                town,
                &mut unreadable,
                each_read::<orphans::Entity, _, _>(&orphans, orphans::Model::into_orphan),
            ),
            unreadable,
        }))
    }

    async fn retry(&self, town: TownId, actor: &str) -> Result<Retried, StoreError> {
        self.in_tx("retry_operation", move |tx| async move { retry(&tx, town, actor).await }).await
    }

    async fn destroy(&self, operation: &NewOperation, actor: &str) -> Result<Requested, StoreError> {
        self.in_tx("destroy_town", move |tx| async move { request::of_operator(&tx, operation, actor).await }).await
    }
}

fn with_owner() -> Select<operations::Entity> {
    operations::Entity::find().column_as(towns::Column::UserId, OWNER).inner_join(towns::Entity)
}

/// What is known of a town's health; nothing where there is no row.
fn known(row: Option<&QueryResult>) -> Result<TownHealth, StoreError> {
    let Some(row) = row else { return Ok(TownHealth::default()) };
    decoded::<health::Entity, health::Model>(row, "")?.into_health()
}

/// Says of a town that this cannot be read; the log says why.
fn named(town: TownId) -> impl Fn(StoreError) -> Unreadable {
    move |error| {
        report(&error);
        Unreadable { town, which: error.to_string() }
    }
}

/// Keeps what can be read of a town's rows, and names the others.
fn kept<T>(town: TownId, others: &mut Vec<Unreadable>, rows: impl Iterator<Item = Result<T, StoreError>>) -> Vec<T> {
    rows.filter_map(|row| row.map_err(|error| others.push(named(town)(error))).ok()).collect()
}

/// A row at a time: one that cannot be decoded must not take the others along.
fn held(row: &QueryResult) -> Result<HeldOperation, StoreError> {
    let owner: String = row.try_get("", OWNER).map_err(store_error)?;
    decoded::<operations::Entity, operations::Model>(row, "")?.into_held(&owner)
}

/// The claim stays whose it is: a driver that is at work goes on, one that waits is due.
async fn retry(tx: &DatabaseTransaction, town: TownId, actor: &str) -> Result<Retried, Stop> {
    if locked(towns::Entity::find_by_id(town.as_uuid())).one(tx).await?.is_none() {
        return Ok(Retried::NotFound);
    }
    let now = dialect::now(tx).await?;
    let due = operations::Entity::update_many()
        .col_expr(operations::Column::NextAttemptAt, Expr::value(now))
        .col_expr(operations::Column::Attempt, Expr::value(0i64))
        .col_expr(operations::Column::LastError, Expr::value(Option::<String>::None))
        .filter(operations::Column::TownId.eq(town.as_uuid()))
        .exec_with_returning(tx)
        .await?;
    let Some(row) = due.into_iter().next() else { return Ok(Retried::NothingInFlight) };
    let operation = row.into_operation()?;
    Event::of(town, actor, "retry", ACCEPTED, now).on(&operation).record(tx).await?;
    Ok(Retried::Due(Box::new(operation)))
}
