use sea_orm_migration::prelude::*;

/// `gastown_town_events`: the append-only history of towns, with actor, action, outcome and time.
///
/// The idempotency key of a request is unique among those of its actor.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let events = Table::create()
            .table("gastown_town_events")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("town_id").uuid().not_null())
            .col(ColumnDef::new("operation_id").uuid())
            .col(ColumnDef::new("actor").text().not_null())
            .col(ColumnDef::new("action").text().not_null())
            .col(ColumnDef::new("outcome").text().not_null())
            .col(ColumnDef::new("error").text())
            .col(ColumnDef::new("detail").json_binary())
            .col(ColumnDef::new("idempotency_key").text())
            .col(ColumnDef::new("at").timestamp_with_time_zone().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("gastown_town_events_town_id_fkey")
                    .from("gastown_town_events", "town_id")
                    .to("gastown_towns", "id")
                    .on_delete(ForeignKeyAction::NoAction),
            )
            .take();
        manager.create_table(events).await?;
        let by_town_and_time = Index::create()
            .name("gastown_town_events_town_id_at_idx")
            .table("gastown_town_events")
            .col("town_id")
            .col("at")
            .take();
        manager.create_index(by_town_and_time).await?;
        let by_operation = Index::create()
            .name("gastown_town_events_operation_id_idx")
            .table("gastown_town_events")
            .col("operation_id")
            .take();
        manager.create_index(by_operation).await?;
        let one_request_of_a_key = Index::create()
            .name("gastown_town_events_actor_idempotency_key_key")
            .table("gastown_town_events")
            .col("actor")
            .col("idempotency_key")
            .unique()
            .and_where(Expr::col("idempotency_key").is_not_null())
            .take();
        manager.create_index(one_request_of_a_key).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("gastown_town_events").take()).await
    }
}
