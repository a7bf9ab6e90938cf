//! The same functions for a database given by its address, `postgres://…` or `sqlite://…`.
//!
//! Only [`up`] creates a missing SQLite file.

use std::time::Duration;

use sea_orm_migration::sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr, sqlx};

use crate::{InUse, MigrateError, MigrationState};

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

/// Returns the address with the scheme that the driver expects, or `None` if it belongs to neither database.
pub fn driver_url(url: &str) -> Option<String> {
    let url = match url.strip_prefix("postgresql://") {
        Some(rest) => format!("postgres://{rest}"),
        None => url.to_owned(),
    };
    (url.starts_with("postgres://") || url.starts_with("sqlite:")).then_some(url)
}

/// Closes the connection. An error of the work takes precedence over one of closing.
async fn closed<T>(db: DatabaseConnection, done: Result<T, MigrateError>) -> Result<T, MigrateError> {
    let hung_up = db.close().await.map_err(MigrateError::Connect);
    let value = done?;
    hung_up.map(|()| value)
}

async fn connect(url: &str, make_file: bool) -> Result<DatabaseConnection, MigrateError> {
    let url = driver_url(url).ok_or(MigrateError::UnknownDatabase)?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).connect_timeout(Duration::from_secs(10)).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(move |sqlite| sqlite.create_if_missing(make_file).busy_timeout(BUSY_WAIT));
    Database::connect(options).await.map_err(|error| match error {
        // The text of this error quotes the address with its password.
        DbErr::Conn(RuntimeErr::Internal(_)) => MigrateError::MalformedUrl,
        other if names_no_database(&other) => MigrateError::NoSuchDatabase(other),
        other => MigrateError::Connect(other),
    })
}

/// Returns true if the database does not exist (Postgres) or its file cannot be opened (SQLite).
fn names_no_database(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("3D000" | "14"))
}
