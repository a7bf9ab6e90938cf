use sea_orm_migration::prelude::*;

/// The figures of the present round of drift checks, which all replicas add to.
///
/// They are columns of `gastown_passes`, and stay zero for jobs that one replica makes alone.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const FIGURES: [&str; 5] = ["taken", "finished", "compared", "absent", "refused"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for figure in FIGURES {
            let column = ColumnDef::new(figure).big_integer().not_null().default(0).take();
            manager.alter_table(Table::alter().table("gastown_passes").add_column(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for figure in FIGURES {
            manager.alter_table(Table::alter().table("gastown_passes").drop_column(figure).take()).await?;
        }
        Ok(())
    }
}
