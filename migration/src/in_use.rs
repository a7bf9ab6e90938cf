use sea_orm_migration::SchemaManager;
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use crate::MigrateError;

/// The rows that must not be lost with the tables. They are the only record of resources that cost money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// The number of operations in flight.
    pub operations: i64,
    /// The number of towns, live or not, with a machine or a volume at the provider.
    pub towns: i64,
}

impl InUse {
    /// Returns true if nothing would be lost.
    pub const fn is_nothing(self) -> bool {
        self.operations == 0 && self.towns == 0
    }
}

/// Counts the rows that must not be lost. Missing tables count as empty. Changes nothing.
pub async fn in_use(db: &DatabaseConnection) -> Result<InUse, MigrateError> {
    let at_fly = "gastown_towns WHERE fly_machine_id IS NOT NULL OR fly_volume_id IS NOT NULL";
    Ok(InUse {
        operations: count(db, "gastown_operations", "gastown_operations").await?,
        towns: count(db, "gastown_towns", at_fly).await?,
    })
}

async fn count(db: &DatabaseConnection, table: &str, rows: &str) -> Result<i64, MigrateError> {
    if !SchemaManager::new(db).has_table(table).await.map_err(MigrateError::Status)? {
        return Ok(0);
    }
    let statement = Statement::from_string(db.get_database_backend(), format!("SELECT count(*) FROM {rows}"));
    let row = db.query_one_raw(statement).await.map_err(MigrateError::Status)?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0)).map_err(MigrateError::Status)
}
