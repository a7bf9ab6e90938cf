use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// `gastown_towns`, a contract with other services.
///
/// The foreign key has no action on deletion. A user's row cannot be deleted while a town refers to it, even a destroyed
/// one.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut id = ColumnDef::new("id").uuid().not_null().primary_key().take();
        if manager.get_database_backend() == DbBackend::Postgres {
            // SQLite has no such function. There every writer supplies the id, as this service always does.
            id.default(Expr::cust("gen_random_uuid()"));
        }
        let statuses = ["provisioning", "running", "stopped", "destroyed"];
        let towns = Table::create()
            .table("gastown_towns")
            .col(id)
            .col(ColumnDef::new("user_id").text().not_null())
            .col(ColumnDef::new("town_name").text().not_null())
            .col(ColumnDef::new("sandbox_id").text().not_null().unique_key())
            .col(ColumnDef::new("fly_machine_id").text())
            .col(ColumnDef::new("fly_volume_id").text())
            .col(ColumnDef::new("fly_region").text().default("iad"))
            .col(ColumnDef::new("status").text().not_null().default("provisioning"))
            .col(ColumnDef::new("last_r2_sync_at").timestamp_with_time_zone())
            .col(ColumnDef::new("last_heartbeat_at").timestamp_with_time_zone())
            .col(ColumnDef::new("config").json_binary().default(Expr::cust("'{}'")))
            .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("destroyed_at").timestamp_with_time_zone())
            .check(("gastown_towns_status_check", Expr::col("status").is_in(statuses)))
            .foreign_key(
                ForeignKey::create()
                    .name("gastown_towns_user_id_fkey")
                    .from("gastown_towns", "user_id")
                    .to("kilocode_users", "id")
                    .on_delete(ForeignKeyAction::NoAction),
            )
            .take();
        manager.create_table(towns).await?;
        let one_living_town_of_a_name = Index::create()
            .name("gastown_towns_user_id_town_name_key")
            .table("gastown_towns")
            .col("user_id")
            .col("town_name")
            .unique()
            .and_where(Expr::col("destroyed_at").is_null())
            .take();
        manager.create_index(one_living_town_of_a_name).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("gastown_towns").take()).await
    }
}
