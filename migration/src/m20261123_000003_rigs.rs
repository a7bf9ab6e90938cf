use sea_orm_migration::prelude::*;

/// `gastown_rigs`, a contract with other services.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rigs = Table::create()
            .table("gastown_rigs")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("town_id").uuid().not_null())
            .col(ColumnDef::new("rig_name").text().not_null())
            .col(ColumnDef::new("repo_url").text().not_null())
            .col(ColumnDef::new("branch").text().default("main"))
            .col(ColumnDef::new("status").text().not_null().default("active"))
            .col(ColumnDef::new("config").json_binary().default(Expr::cust("'{}'")))
            .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
            .check(("gastown_rigs_status_check", Expr::col("status").is_in(["pending", "active", "removing"])))
            .foreign_key(
                ForeignKey::create()
                    .name("gastown_rigs_town_id_fkey")
                    .from("gastown_rigs", "town_id")
                    .to("gastown_towns", "id")
                    .on_delete(ForeignKeyAction::NoAction),
            )
            .take();
        manager.create_table(rigs).await?;
        let one_rig_of_a_name = Index::create()
            .name("gastown_rigs_town_id_rig_name_key")
            .table("gastown_rigs")
            .col("town_id")
            .col("rig_name")
            .unique()
            .take();
        manager.create_index(one_rig_of_a_name).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("gastown_rigs").take()).await
    }
}
