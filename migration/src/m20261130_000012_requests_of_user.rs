use sea_orm_migration::prelude::*;

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
        let of_user = Index::create().name(OF_USER).table("gastown_operations").col("requested_by").take();
        manager.create_index(of_user).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(OF_USER).table("gastown_operations").to_owned()).await
    }
}
