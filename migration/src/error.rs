use sea_orm_migration::DbErr;

use crate::address::AddressError;
use crate::postgres::ConnectFailure;

/// A failed migration.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The address has a mistake.
    #[error("the database's address {0}")]
    Address(AddressError),
    /// The database or the file does not exist.
    #[error("there is no such database")]
    NoSuchDatabase(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no connection to Postgres, or its database cannot be used.
    #[error(transparent)]
    Postgres(ConnectFailure),
    /// The connection failed.
    #[error("cannot connect to the database to migrate")]
    Connect(#[source] DbErr),
    /// Another process is migrating and held the lock for longer than the time limit.
    #[error("another process holds the lock on the schema")]
    Locked(#[source] DbErr),
    /// A migration failed. All migrations of this run are rolled back.
    #[error("a migration failed, nothing was changed")]
    Failed(#[source] DbErr),
    /// The list of applied migrations or the columns of a table could not be read.
    #[error("cannot read the state of the schema")]
    Status(#[source] DbErr),
}
