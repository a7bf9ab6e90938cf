use sea_orm_migration::prelude::*;

/// The time of the last successful comparison of a town with the provider.
///
/// `checked_at` is that of the last attempt, which may have shown nothing. Rows of earlier versions have none.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "gastown_town_health";
const COMPARED_AT: &str = "compared_at";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(COMPARED_AT).timestamp_with_time_zone().take();
        manager.alter_table(Table::alter().table(TABLE).add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(TABLE).drop_column(COMPARED_AT).take()).await
    }
}
