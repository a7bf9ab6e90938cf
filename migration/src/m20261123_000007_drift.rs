use sea_orm_migration::prelude::*;

/// What a look at Fly said of a town, beside its health: when it was last looked at, what is suspected and by how many
/// looks, and what is believed since when.
///
/// The words of `suspicion` and `drift` have no check: there will be more of them, and replicas of two versions at once.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const NEW_COLUMNS: [&str; 5] = ["checked_at", "suspicion", "suspicion_looks", "drift", "drift_since"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One statement each: SQLite adds no two columns at once.
        for name in NEW_COLUMNS {
            let mut column = ColumnDef::new(name);
            match name {
                "suspicion_looks" => column.big_integer().not_null().default(0),
                "suspicion" | "drift" => column.text(),
                _ => column.timestamp_with_time_zone(),
            };
            manager.alter_table(Table::alter().table("gastown_town_health").add_column(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in NEW_COLUMNS.into_iter().rev() {
            manager.alter_table(Table::alter().table("gastown_town_health").drop_column(name).take()).await?;
        }
        Ok(())
    }
}
