use sea_orm_migration::prelude::*;

/// The reports of sandboxes in heartbeats, and the expiry of their token.
///
/// The first five columns are of the heartbeat at `last_report_at`. Null means that the sandbox did not report it.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "gastown_town_health";
const NEW_COLUMNS: [&str; 6] =
    ["gt_running", "dolt_running", "active_polecats", "disk_used_bytes", "reported_sync_at", "token_expires_at"];

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
                "gt_running" | "dolt_running" => column.boolean(),
                "active_polecats" | "disk_used_bytes" => column.big_integer(),
                _ => column.timestamp_with_time_zone(),
            };
            manager.alter_table(Table::alter().table(TABLE).add_column(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in NEW_COLUMNS.into_iter().rev() {
            manager.alter_table(Table::alter().table(TABLE).drop_column(name).take()).await?;
        }
        Ok(())
    }
}
