use sea_orm_migration::prelude::*;

/// The result of drift checks, beside the health of a town.
///
/// The columns are the time of the last check, the observations that agree so far, and the confirmed drift with its time.
/// The values of `suspicion` and `drift` have no check, because later versions add more of them during a deployment.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const NEW_COLUMNS: [&str; 5] = ["checked_at", "suspicion", "suspicion_looks", "drift", "drift_since"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One statement each, because SQLite cannot add two columns at once.
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
