use std::collections::BTreeSet;
use std::time::Duration;

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, IntoDatabaseExecutor, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::sea_query::Query;
use sea_orm_migration::{DbErr, MigratorTrait, SchemaManager};

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
///
/// Does nothing on the schema of a newer version that has all of ours, as after a roll back of a deployment (FM-59).
pub async fn up(db: &DatabaseConnection) -> Result<(), MigrateError> {
    let alone = begin_alone(db).await?;
    let applied = applied(&alone).await?;
    if !known().iter().all(|name| applied.contains(name)) {
        Migrator::up(&alone, None).await.map_err(MigrateError::Failed)?;
    }
    alone.commit().await.map_err(MigrateError::Failed)
}

/// Reverts the last `steps` migrations, or all of them. The content of the tables is lost.
pub async fn down(db: &DatabaseConnection, steps: Option<u32>) -> Result<(), MigrateError> {
    let alone = begin_alone(db).await?;
    Migrator::down(&alone, steps).await.map_err(MigrateError::Failed)?;
    alone.commit().await.map_err(MigrateError::Failed)
}

/// Returns all known migrations, oldest first, then those that a newer version has applied. Changes nothing.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<MigrationState>, MigrateError> {
    let (known, applied) = (known(), applied(db).await?);
    let newer = applied.iter().filter(|name| !known.contains(name)).cloned();
    let newer = newer.map(|name| MigrationState { name, applied: true }).collect::<Vec<_>>();
    let state = |name: String| MigrationState { applied: applied.contains(&name), name };
    Ok(known.into_iter().map(state).chain(newer).collect())
}

/// Returns true if the host's user table has a column of this name.
pub async fn has_user_column(db: &DatabaseConnection, column: &str) -> Result<bool, MigrateError> {
    let schema = SchemaManager::new(db);
    let has_table = schema.has_table("kilocode_users").await.map_err(MigrateError::Status)?;
    Ok(has_table && schema.has_column("kilocode_users", column).await.map_err(MigrateError::Status)?)
}

/// Returns the names of this version's migrations, oldest first.
fn known() -> Vec<String> {
    Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

/// Returns the names of the migrations that the database records, also those of a newer version.
async fn applied<'db, C>(db: &'db C) -> Result<BTreeSet<String>, MigrateError>
where
    C: ConnectionTrait,
    &'db C: IntoDatabaseExecutor<'db>,
{
    let table = Migrator::migration_table_name();
    if !SchemaManager::new(db).has_table(table.to_string()).await.map_err(MigrateError::Status)? {
        return Ok(BTreeSet::new());
    }
    let names = Query::select().column("version").from(table).take();
    let rows = db.query_all(&names).await.map_err(MigrateError::Status)?;
    let names = rows.iter().map(|row| row.try_get::<String>("", "version")).collect::<Result<_, _>>();
    names.map_err(MigrateError::Status)
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
