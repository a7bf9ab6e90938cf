use sea_orm_migration::prelude::*;

use crate::m20261130_000015_restarts::replace_check;

/// The kinds `restore` and `undo_restore` of operations.
///
/// A revert fails while one of them is in flight, because no earlier kind has the same meaning.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let kinds = ["create", "start", "stop", "restart", "restore", "destroy", "roll_back", "undo_restore"];
        replace_check(manager, &kinds).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace_check(manager, &["create", "start", "stop", "restart", "destroy", "roll_back"]).await
    }
}
