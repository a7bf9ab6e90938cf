//! The same functions for a database given by its address, `postgres://…` or `sqlite://…`.
//!
//! Only [`up`] creates a missing SQLite file.

use std::time::Duration;

use sea_orm_migration::sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm_migration::sea_orm::sqlx::{self, Connection as _};
use sea_orm_migration::sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};

use crate::address::{DatabaseAddress, PostgresAddress, SqliteAddress};
use crate::postgres::{self, ConnectFailure};
use crate::{InUse, MigrateError, MigrationState};

/// The time limit for a connection to Postgres.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for waiting for another process that writes on SQLite.
const BUSY_WAIT: Duration = Duration::from_secs(60);

/// Runs [`up`](crate::up) on a new connection.
pub async fn up(url: &str) -> Result<(), MigrateError> {
    let db = connect(url, true).await?;
    let done = crate::up(&db).await;
    closed(db, done).await
}

/// Runs [`down`](crate::down) on a new connection.
pub async fn down(url: &str, steps: Option<u32>) -> Result<(), MigrateError> {
    let db = connect(url, false).await?;
    let done = crate::down(&db, steps).await;
    closed(db, done).await
}

/// Runs [`status`](crate::status) on a new connection.
pub async fn status(url: &str) -> Result<Vec<MigrationState>, MigrateError> {
    let db = connect(url, false).await?;
    let states = crate::status(&db).await;
    closed(db, states).await
}

/// Runs [`in_use`](crate::in_use()) on a new connection.
pub async fn in_use(url: &str) -> Result<InUse, MigrateError> {
    let db = connect(url, false).await?;
    let found = crate::in_use(&db).await;
    closed(db, found).await
}

/// Closes the connection. An error of the work takes precedence over one of closing.
async fn closed<T>(db: DatabaseConnection, done: Result<T, MigrateError>) -> Result<T, MigrateError> {
    let hung_up = db.close().await.map_err(MigrateError::Connect);
    let value = done?;
    hung_up.map(|()| value)
}

async fn connect(url: &str, make_file: bool) -> Result<DatabaseConnection, MigrateError> {
    match url.parse().map_err(MigrateError::Address)? {
        DatabaseAddress::Postgres(address) => connect_to_postgres(&address).await,
        DatabaseAddress::Sqlite(address) => connect_to_sqlite(&address, make_file).await,
    }
}

/// Connects once before the pool does, because a pool would only say that it timed out.
async fn connect_to_postgres(address: &PostgresAddress) -> Result<DatabaseConnection, MigrateError> {
    let first = postgres::connect(address, CONNECT_TIMEOUT).await.map_err(|failure| match failure {
        ConnectFailure::NoSuchDatabase(cause) => MigrateError::NoSuchDatabase(Box::new(cause)),
        other => MigrateError::Postgres(other),
    })?;
    first.close().await.map_err(|cause| MigrateError::Postgres(cause.into()))?;
    let options = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_TIMEOUT);
    Ok(postgres::lazy_pool(address, options))
}

async fn connect_to_sqlite(address: &SqliteAddress, make_file: bool) -> Result<DatabaseConnection, MigrateError> {
    let mut options = ConnectOptions::new(address.url());
    options.max_connections(1).connect_timeout(CONNECT_TIMEOUT).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(move |sqlite| sqlite.create_if_missing(make_file).busy_timeout(BUSY_WAIT));
    Database::connect(options).await.map_err(|error| {
        if names_no_file(&error) { MigrateError::NoSuchDatabase(Box::new(error)) } else { MigrateError::Connect(error) }
    })
}

/// Returns true if the file cannot be opened.
fn names_no_file(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("14")
}
