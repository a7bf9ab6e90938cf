use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// An index that finds the operations in flight of one user, which are counted before another one is accepted.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const OF_USER: &str = "gastown_operations_requested_by_idx";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            // This and the next two migrations lock these tables in the transaction of all migrations. Taken at once, and the
            // towns first as every writer does, the locks cannot deadlock with the writes of running processes.
            let lock = "LOCK TABLE gastown_towns, gastown_town_health, gastown_operations, gastown_town_events \
                IN SHARE ROW EXCLUSIVE MODE";
            manager.get_connection().execute_unprepared(lock).await?;
        }
        let of_user = Index::create().name(OF_USER).table("gastown_operations").col("requested_by").take();
        manager.create_index(of_user).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(OF_USER).table("gastown_operations").to_owned()).await
    }
}
