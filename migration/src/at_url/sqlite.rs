//! A connection to a SQLite file.

use std::time::Duration;

use sea_orm_migration::sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr, sqlx};

use super::CONNECT_TIMEOUT;
use crate::MigrateError;
use crate::address::SqliteAddress;

/// The time limit for waiting for another process that writes.
const BUSY_WAIT: Duration = Duration::from_secs(60);

/// Connects. Creates a missing file if requested.
pub(super) async fn connect(address: &SqliteAddress, make_file: bool) -> Result<DatabaseConnection, MigrateError> {
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
