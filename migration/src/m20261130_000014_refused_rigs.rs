use sea_orm_migration::prelude::*;

/// The last rigs of a town that its sandbox refused, with the reasons.
///
/// They are a column of `gastown_town_health`, because `gastown_rigs` is a contract with other services.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const REFUSED_RIGS: &str = "refused_rigs";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new(REFUSED_RIGS).json_binary().take();
        manager.alter_table(Table::alter().table("gastown_town_health").add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("gastown_town_health").drop_column(REFUSED_RIGS).take()).await
    }
}
