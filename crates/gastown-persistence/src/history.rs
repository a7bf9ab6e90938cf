use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::ports::{History, StoreError};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, DbErr, EntityTrait as _, JsonValue, QueryFilter as _,
    QuerySelect as _, QueryTrait as _, Select,
};
use uuid::Uuid;

use crate::calendar::before;
use crate::entity::{
    gastown_operations as operations, gastown_rigs as rigs, gastown_town_events as events, gastown_towns as towns,
};
use crate::error::TxError;
use crate::{Database, dialect};

#[async_trait]
impl History for Database {
    async fn delete_events(&self, age: Duration, limit: u32) -> Result<u64, StoreError> {
        self.in_tx("delete_events", move |tx| async move { delete_events(&tx, age, limit).await }).await
    }

    async fn forget_keys(&self, age: Duration, limit: u32) -> Result<u64, StoreError> {
        self.in_tx("forget_keys", move |tx| async move { forget_keys(&tx, age, limit).await }).await
    }

    async fn empty_tombstones(&self, age: Duration, limit: u32) -> Result<u64, StoreError> {
        self.in_tx("empty_tombstones", move |tx| async move { empty_tombstones(&tx, age, limit).await }).await
    }
}

async fn delete_events(tx: &DatabaseTransaction, age: Duration, limit: u32) -> Result<u64, TxError> {
    let old = old_events(time_before(tx, age).await?, limit);
    let delete = events::Entity::delete_many().filter(events::Column::Id.in_subquery(old.into_query()));
    Ok(delete.exec(tx).await?.rows_affected)
}

async fn forget_keys(tx: &DatabaseTransaction, age: Duration, limit: u32) -> Result<u64, TxError> {
    let old = old_keys(time_before(tx, age).await?, limit);
    let forget = events::Entity::update_many()
        .col_expr(events::Column::IdempotencyKey, Expr::value(Option::<String>::None))
        .filter(events::Column::Id.in_subquery(old.into_query()));
    Ok(forget.exec(tx).await?.rows_affected)
}

async fn empty_tombstones(tx: &DatabaseTransaction, age: Duration, limit: u32) -> Result<u64, TxError> {
    let old = old_tombstones(time_before(tx, age).await?, limit);
    let emptied = towns::Entity::update_many()
        .col_expr(towns::Column::Config, Expr::value(Option::<JsonValue>::None))
        .filter(towns::Column::Id.in_subquery(old.into_query()))
        .exec_with_returning(tx)
        .await?;
    let emptied: Vec<Uuid> = emptied.into_iter().map(|row| row.id).collect();
    let number = emptied.len() as u64;
    rigs::Entity::delete_many().filter(rigs::Column::TownId.is_in(emptied)).exec(tx).await?;
    Ok(number)
}

/// Returns the time of the database before this age.
async fn time_before(tx: &DatabaseTransaction, age: Duration) -> Result<DateTime<Utc>, DbErr> {
    Ok(before(dialect::now(tx).await?, age))
}

/// Selects old events of towns without an operation, whose caller may still read the outcome from them.
fn old_events(until: DateTime<Utc>, limit: u32) -> Select<events::Entity> {
    let old = events::Entity::find().select_only().column(events::Column::Id).filter(events::Column::At.lt(until));
    old.filter(events::Column::TownId.not_in_subquery(in_flight())).limit(u64::from(limit))
}

fn old_keys(until: DateTime<Utc>, limit: u32) -> Select<events::Entity> {
    old_events(until, limit).filter(events::Column::IdempotencyKey.is_not_null())
}

/// Selects old tombstones that have a configuration and no resource. `NULL` marks those that were emptied.
fn old_tombstones(until: DateTime<Utc>, limit: u32) -> Select<towns::Entity> {
    let has_no_resource =
        Condition::all().add(towns::Column::FlyMachineId.is_null()).add(towns::Column::FlyVolumeId.is_null());
    let old = towns::Entity::find().select_only().column(towns::Column::Id);
    old.filter(towns::Column::DestroyedAt.lt(until))
        .filter(towns::Column::Config.is_not_null())
        .filter(has_no_resource)
        .filter(towns::Column::Id.not_in_subquery(in_flight()))
        .limit(u64::from(limit))
}

fn in_flight() -> SelectStatement {
    Query::select().column(operations::Column::TownId).from(operations::Entity).take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::tests::plans;

    #[tokio::test]
    async fn old_rows_are_found_by_an_index() {
        let until = DateTime::UNIX_EPOCH;
        for (query, index) in [
            (old_events(until, 500).into_query(), "gastown_town_events_at_idx"),
            (old_keys(until, 500).into_query(), "gastown_town_events_keyed_at_idx"),
            (old_tombstones(until, 500).into_query(), "gastown_towns_emptied_idx"),
        ] {
            for plan in plans(&query).await {
                assert!(plan.contains(index), "{plan}");
            }
        }
    }
}
