use sea_orm_migration::prelude::*;

/// `gastown_rollouts`: the rollouts of images, of which at most one has not ended.
///
/// `gastown_rollout_towns` has one row for each town that a pass of a rollout has touched. Its key keeps a pass from touching
/// a town twice. `gastown_town_health.image` is the image that the town's machine has.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ROLLOUTS: &str = "gastown_rollouts";
const TOWNS: &str = "gastown_rollout_towns";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let image = Table::alter().table("gastown_town_health").add_column(ColumnDef::new("image").text()).take();
        manager.alter_table(image).await?;
        manager.create_table(rollouts()).await?;
        // Every rollout has the same subject, so the index allows one that has not ended.
        let active = Index::create()
            .name("gastown_rollouts_active_key")
            .table(ROLLOUTS)
            .col("subject")
            .unique()
            .and_where(Expr::col("ended_at").is_null())
            .take();
        manager.create_index(active).await?;
        manager.create_table(towns()).await?;
        let unended = Index::create()
            .name("gastown_rollout_towns_outcome_idx")
            .table(TOWNS)
            .col("rollout")
            .col("pass")
            .col("outcome")
            .take();
        manager.create_index(unended).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TOWNS).take()).await?;
        manager.drop_table(Table::drop().table(ROLLOUTS).take()).await?;
        manager.alter_table(Table::alter().table("gastown_town_health").drop_column("image").take()).await
    }
}

fn rollouts() -> TableCreateStatement {
    Table::create()
        .table(ROLLOUTS)
        .col(ColumnDef::new("number").big_integer().not_null().primary_key())
        .col(ColumnDef::new("subject").text().not_null().default("image"))
        .col(ColumnDef::new("image").text().not_null())
        .col(ColumnDef::new("setting").text())
        .col(ColumnDef::new("percent").big_integer().not_null())
        .col(ColumnDef::new("only_stopped").boolean().not_null())
        .col(ColumnDef::new("max_unavailable").big_integer().not_null())
        .col(ColumnDef::new("state").text().not_null())
        .col(ColumnDef::new("reason").text())
        .col(ColumnDef::new("known_failures").big_integer().not_null().default(0))
        .col(ColumnDef::new("started_by").text().not_null())
        .col(ColumnDef::new("changed_by").text().not_null())
        .col(ColumnDef::new("started_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("changed_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("ended_at").timestamp_with_time_zone())
        .take()
}

fn towns() -> TableCreateStatement {
    Table::create()
        .table(TOWNS)
        .col(ColumnDef::new("rollout").big_integer().not_null())
        .col(ColumnDef::new("town_id").uuid().not_null())
        .col(ColumnDef::new("pass").text().not_null())
        .col(ColumnDef::new("operation_id").uuid())
        .col(ColumnDef::new("outcome").text())
        .col(ColumnDef::new("failure").text())
        .col(ColumnDef::new("touched_at").timestamp_with_time_zone().not_null())
        .col(ColumnDef::new("ended_at").timestamp_with_time_zone())
        .primary_key(Index::create().col("rollout").col("town_id").col("pass"))
        .take()
}
