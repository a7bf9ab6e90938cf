use std::time::Duration;

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::{DbErr, MigrationStatus, MigratorTrait};

use crate::{MigrateError, Migrator};

/// The time limit for waiting for another process that migrates. SQLite uses the busy timeout of the connection instead.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// The key of the advisory lock on Postgres: "gastown" in ASCII, read as a number.
const LOCK_KEY: i64 = 0x67_61_73_74_6f_77_6e;

/// The state of one migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// The name of its file.
    pub name: String,
    /// True if the migration is applied.
    pub applied: bool,
}

/// Applies all missing migrations, or none if one fails. Safe to repeat, also by several processes at once.
pub async fn up(db: &DatabaseConnection) -> Result<(), MigrateError> {
    let alone = begin_alone(db).await?;
    Migrator::up(&alone, None).await.map_err(MigrateError::Failed)?;
    alone.commit().await.map_err(MigrateError::Failed)
}

/// Reverts the last `steps` migrations, or all of them. The content of the tables is lost.
pub async fn down(db: &DatabaseConnection, steps: Option<u32>) -> Result<(), MigrateError> {
    let alone = begin_alone(db).await?;
    Migrator::down(&alone, steps).await.map_err(MigrateError::Failed)?;
    alone.commit().await.map_err(MigrateError::Failed)
}

/// Returns all known migrations, oldest first. Changes nothing.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<MigrationState>, MigrateError> {
    let known = Migrator::get_migration_with_status_read_only(db).await.map_err(MigrateError::Status)?;
    let state = |migration: &sea_orm_migration::Migration| MigrationState {
        name: migration.name().to_owned(),
        applied: migration.status() == MigrationStatus::Applied,
    };
    Ok(known.iter().map(state).collect())
}

/// Begins the transaction of a run, in which no other process can migrate.
///
/// It holds an advisory lock on Postgres, and the write lock on SQLite. Both end with the transaction, even if the process
/// dies, and work with any connection pooler.
async fn begin_alone(db: &DatabaseConnection) -> Result<DatabaseTransaction, MigrateError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = db.begin_with_options(options).await.map_err(begin_failed)?;
    if db.get_database_backend() == DbBackend::Postgres {
        let wait = LOCK_WAIT.as_millis();
        // The pool of the connection may have a statement timeout, which must not interrupt a migration.
        let patient = format!("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {wait}");
        transaction.execute_unprepared(&patient).await.map_err(MigrateError::Locked)?;
        let lock = format!("SELECT pg_advisory_xact_lock({LOCK_KEY})");
        transaction.execute_unprepared(&lock).await.map_err(MigrateError::Locked)?;
    }
    Ok(transaction)
}

/// Classifies a failed BEGIN. On SQLite it takes the lock, on Postgres only a connection.
fn begin_failed(error: DbErr) -> MigrateError {
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => MigrateError::Connect(error),
        _ => MigrateError::Locked(error),
    }
}
