use sea_orm_migration::prelude::*;

/// `gastown_town_health`: failures and restarts of a town within the current window, and the last report.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let health = Table::create()
            .table("gastown_town_health")
            .col(ColumnDef::new("town_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("failures").big_integer().not_null().default(0))
            .col(ColumnDef::new("restarts").big_integer().not_null().default(0))
            .col(ColumnDef::new("window_started_at").timestamp_with_time_zone())
            .col(ColumnDef::new("last_report_at").timestamp_with_time_zone())
            .col(ColumnDef::new("last_report").json_binary())
            .foreign_key(
                ForeignKey::create()
                    .name("gastown_town_health_town_id_fkey")
                    .from("gastown_town_health", "town_id")
                    .to("gastown_towns", "id")
                    .on_delete(ForeignKeyAction::NoAction),
            )
            .take();
        manager.create_table(health).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("gastown_town_health").take()).await
    }
}
