use sea_orm_migration::prelude::*;

/// `kilocode_users`, which belongs to the host application.
///
/// It is created only if it is missing, with the two columns that this service reads. A note records the creation, so that
/// a revert never drops a table of the host.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const MADE_BY_US: &str = "kilocode_users was created by gastown";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let notes = Table::create()
            .table("gastown_schema_notes")
            .col(ColumnDef::new("note").text().not_null().primary_key())
            .take();
        manager.create_table(notes).await?;
        if manager.has_table("kilocode_users").await? {
            return Ok(());
        }
        let users = Table::create()
            .table("kilocode_users")
            .col(ColumnDef::new("id").text().not_null().primary_key())
            .col(ColumnDef::new("api_token_pepper").text())
            .take();
        manager.create_table(users).await?;
        let note = Query::insert()
            .into_table("gastown_schema_notes")
            .columns(["note"])
            .values_panic([MADE_BY_US.into()])
            .take();
        manager.execute(note).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let note = Query::select()
            .column("note")
            .from("gastown_schema_notes")
            .and_where(Expr::col("note").eq(MADE_BY_US))
            .take();
        if manager.get_connection().query_one(&note).await?.is_some() {
            manager.drop_table(Table::drop().table("kilocode_users").take()).await?;
        }
        manager.drop_table(Table::drop().table("gastown_schema_notes").take()).await
    }
}
