//! The same functions for a database given by its address, `postgres://…` or `sqlite://…`.
//!
//! Only [`up`] creates a missing SQLite file.

use std::time::Duration;

use sea_orm_migration::sea_orm::DatabaseConnection;
use sea_orm_migration::sea_orm::sqlx::Connection as _;
use sea_orm_migration::sea_orm::sqlx::postgres::PgPoolOptions;

use crate::address::{DatabaseAddress, PostgresAddress};
use crate::postgres::{self, ConnectFailure};
use crate::{InUse, MigrateError, MigrationState};

/// The time limit for a connection to Postgres.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
    #[cfg(not(feature = "sqlite"))]
    let _ = make_file;
    match url.parse().map_err(MigrateError::Address)? {
        DatabaseAddress::Postgres(address) => connect_to_postgres(&address).await,
        #[cfg(feature = "sqlite")]
        DatabaseAddress::Sqlite(address) => sqlite::connect(&address, make_file).await,
        #[cfg(not(feature = "sqlite"))]
        DatabaseAddress::Sqlite(_) => Err(MigrateError::Address(crate::address::AddressError::SqliteMissing)),
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

#[cfg(feature = "sqlite")]
mod sqlite;
