use sea_orm_migration::prelude::*;

/// `gastown_passes`: one row for each singleton job, with its lease, its fencing number and the end of its last run.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let passes = Table::create()
            .table("gastown_passes")
            .col(ColumnDef::new("pass").text().not_null().primary_key())
            .col(ColumnDef::new("number").big_integer().not_null().default(0))
            .col(ColumnDef::new("owner").text())
            .col(ColumnDef::new("lease_expires_at").timestamp_with_time_zone())
            .col(ColumnDef::new("began_at").timestamp_with_time_zone())
            .col(ColumnDef::new("ended_at").timestamp_with_time_zone())
            .col(ColumnDef::new("alarm").text())
            .take();
        manager.create_table(passes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("gastown_passes").take()).await
    }
}
