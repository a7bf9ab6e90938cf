use sea_orm_migration::prelude::*;

/// Indexes that find what the history may forget: old events, old keys, and old tombstones with a configuration.
///
/// The index on `gastown_towns` does not change the contract with other services.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const EVENTS: &str = "gastown_town_events_at_idx";
const KEYS: &str = "gastown_town_events_keyed_at_idx";
const TOMBSTONES: &str = "gastown_towns_emptied_idx";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let events = Index::create().name(EVENTS).table("gastown_town_events").col("at").take();
        manager.create_index(events).await?;
        let keys = Index::create()
            .name(KEYS)
            .table("gastown_town_events")
            .col("at")
            .and_where(Expr::col("idempotency_key").is_not_null())
            .take();
        manager.create_index(keys).await?;
        let tombstones = Index::create()
            .name(TOMBSTONES)
            .table("gastown_towns")
            .col("destroyed_at")
            .and_where(Expr::col("destroyed_at").is_not_null())
            .and_where(Expr::col("config").is_not_null())
            .take();
        manager.create_index(tombstones).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table) in
            [(TOMBSTONES, "gastown_towns"), (KEYS, "gastown_town_events"), (EVENTS, "gastown_town_events")]
        {
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        Ok(())
    }
}
