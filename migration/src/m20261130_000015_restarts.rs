use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// The kind `restart` of operations.
///
/// SQLite cannot change a check, so the table is built again with its rows. A revert turns restarts into starts, which have
/// the same phases.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "gastown_operations";
const OLD: &str = "gastown_operations_before";
const CHECK: &str = "gastown_operations_kind_check";

const INDEXES: [(&str, &str); 2] = [
    ("gastown_operations_next_attempt_at_idx", "next_attempt_at"),
    ("gastown_operations_requested_by_idx", "requested_by"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace_check(manager, &["create", "start", "stop", "restart", "destroy", "roll_back"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let starts = "UPDATE gastown_operations SET kind = 'start' WHERE kind = 'restart'";
        manager.get_connection().execute_unprepared(starts).await?;
        replace_check(manager, &["create", "start", "stop", "destroy", "roll_back"]).await
    }
}

/// Replaces the check of the kinds.
pub(crate) async fn replace_check(manager: &SchemaManager<'_>, kinds: &[&str]) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Sqlite {
        return rebuild(manager, kinds).await;
    }
    let kinds = kinds.iter().map(|kind| format!("'{kind}'")).collect::<Vec<_>>().join(", ");
    let replace = format!(
        "ALTER TABLE {TABLE} DROP CONSTRAINT {CHECK}; ALTER TABLE {TABLE} ADD CONSTRAINT {CHECK} CHECK (kind IN ({kinds}))"
    );
    manager.get_connection().execute_unprepared(&replace).await.map(drop)
}

async fn rebuild(manager: &SchemaManager<'_>, kinds: &[&str]) -> Result<(), DbErr> {
    for (name, _) in INDEXES {
        manager.drop_index(Index::drop().name(name).table(TABLE).to_owned()).await?;
    }
    manager.rename_table(Table::rename().table(TABLE, OLD).to_owned()).await?;
    manager.create_table(table(kinds)).await?;
    // Both tables have the same columns in the same order.
    let copy = format!("INSERT INTO {TABLE} SELECT * FROM {OLD}");
    manager.get_connection().execute_unprepared(&copy).await?;
    manager.drop_table(Table::drop().table(OLD).take()).await?;
    for (name, column) in INDEXES {
        manager.create_index(Index::create().name(name).table(TABLE).col(column).take()).await?;
    }
    Ok(())
}

fn table(kinds: &[&str]) -> TableCreateStatement {
    let marks = ["begun", "prepared", "settled"];
    Table::create()
        .table(TABLE)
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
        .check((CHECK, Expr::col("kind").is_in(kinds.iter().copied())))
        .check(("gastown_operations_mark_check", Expr::col("mark").is_in(marks)))
        .foreign_key(
            ForeignKey::create()
                .name("gastown_operations_town_id_fkey")
                .from(TABLE, "town_id")
                .to("gastown_towns", "id")
                .on_delete(ForeignKeyAction::NoAction),
        )
        .take()
}
