use sea_orm_migration::prelude::*;

/// `gastown_operations`: the operation in flight of a town. The row is the lock, the intent and the progress.
///
/// `attempt` counts failures since the last progress. `cause` is the reason for a rollback. `fence` rises with each change
/// of owner.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let kinds = ["create", "start", "stop", "destroy", "roll_back"];
        let marks = ["begun", "prepared", "settled"];
        let operations = Table::create()
            .table("gastown_operations")
            .col(ColumnDef::new("town_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("id").uuid().not_null().unique_key())
            .col(ColumnDef::new("kind").text().not_null())
            .col(ColumnDef::new("mark").text().not_null().default("begun"))
            .col(ColumnDef::new("step").text())
            .col(ColumnDef::new("attempt").big_integer().not_null().default(0))
            .col(ColumnDef::new("last_error").text())
            .col(ColumnDef::new("cause").text())
            .col(ColumnDef::new("requested_by").text().not_null())
            .col(ColumnDef::new("owner").text())
            .col(ColumnDef::new("lease_expires_at").timestamp_with_time_zone())
            .col(ColumnDef::new("fence").big_integer().not_null().default(0))
            .col(ColumnDef::new("next_attempt_at").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("deadline_at").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("progress").json_binary().not_null().default(Expr::cust("'{}'")))
            .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("updated_at").timestamp_with_time_zone().not_null())
            .check(("gastown_operations_kind_check", Expr::col("kind").is_in(kinds)))
            .check(("gastown_operations_mark_check", Expr::col("mark").is_in(marks)))
            .foreign_key(
                ForeignKey::create()
                    .name("gastown_operations_town_id_fkey")
                    .from("gastown_operations", "town_id")
                    .to("gastown_towns", "id")
                    .on_delete(ForeignKeyAction::NoAction),
            )
            .take();
        manager.create_table(operations).await?;
        let due = Index::create()
            .name("gastown_operations_next_attempt_at_idx")
            .table("gastown_operations")
            .col("next_attempt_at")
            .take();
        manager.create_index(due).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("gastown_operations").take()).await
    }
}
