use sea_orm_migration::prelude::*;

/// The facts about the use of towns, for the stop of idle ones.
///
/// `idle_stop_minutes` is a searchable copy of the setting in `gastown_towns.config`, which decides. The index has the running
/// towns whose workers are idle and whose owner asks for idle stops, and no others.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "gastown_town_health";
const NEW_COLUMNS: [&str; 5] = ["idle_stop_minutes", "last_user_call_at", "heard_at", "idle_since", "idle_stopped_at"];
const IDLE: &str = "gastown_town_health_idle_since_idx";

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
                "idle_stop_minutes" => column.big_integer(),
                _ => column.timestamp_with_time_zone(),
            };
            manager.alter_table(Table::alter().table(TABLE).add_column(column).take()).await?;
        }
        let idle = Index::create()
            .name(IDLE)
            .table(TABLE)
            .col("idle_since")
            .and_where(Expr::col("idle_stop_minutes").is_not_null())
            .and_where(Expr::col("idle_since").is_not_null())
            .take();
        manager.create_index(idle).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(IDLE).table(TABLE).to_owned()).await?;
        for name in NEW_COLUMNS.into_iter().rev() {
            manager.alter_table(Table::alter().table(TABLE).drop_column(name).take()).await?;
        }
        Ok(())
    }
}
