use sea_orm_migration::prelude::*;

/// The state of the health monitor for each town.
///
/// `next_check_at` is the time of the next check, and meanwhile the lease of the process that makes it. It is null for
/// towns that are not checked. The values of `state` and `reason` have no check, because later versions add more of them.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "gastown_town_health";
const NEW_COLUMNS: [&str; 4] = ["state", "state_since", "reason", "next_check_at"];
const DUE: &str = "gastown_town_health_next_check_at_idx";

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
                "state" | "reason" => column.text(),
                _ => column.timestamp_with_time_zone(),
            };
            manager.alter_table(Table::alter().table(TABLE).add_column(column).take()).await?;
        }
        let due = Index::create()
            .name(DUE)
            .table(TABLE)
            .col("next_check_at")
            .and_where(Expr::col("next_check_at").is_not_null())
            .take();
        manager.create_index(due).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(DUE).table(TABLE).to_owned()).await?;
        for name in NEW_COLUMNS.into_iter().rev() {
            manager.alter_table(Table::alter().table(TABLE).drop_column(name).take()).await?;
        }
        Ok(())
    }
}
