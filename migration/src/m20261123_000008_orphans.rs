use sea_orm_migration::prelude::*;

/// `gastown_orphans`: machines and volumes at the provider that no row accounts for.
///
/// `town_id` is the town that a resource refers to. It is not a foreign key, because the town may not exist.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let orphans = Table::create()
            .table("gastown_orphans")
            .col(ColumnDef::new("app").text().not_null())
            .col(ColumnDef::new("kind").text().not_null())
            .col(ColumnDef::new("fly_id").text().not_null())
            .col(ColumnDef::new("name").text().not_null())
            .col(ColumnDef::new("town_id").uuid())
            .col(ColumnDef::new("reason").text().not_null())
            .col(ColumnDef::new("first_seen_at").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("last_seen_at").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("times_seen").big_integer().not_null().default(1))
            .col(ColumnDef::new("deletion_asked_at").timestamp_with_time_zone())
            .primary_key(Index::create().col("app").col("kind").col("fly_id"))
            .take();
        manager.create_table(orphans).await?;
        let of_a_town =
            Index::create().name("gastown_orphans_town_id_idx").table("gastown_orphans").col("town_id").take();
        manager.create_index(of_a_town).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("gastown_orphans").take()).await
    }
}
