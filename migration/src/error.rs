use sea_orm_migration::DbErr;

/// A failed migration.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The address begins neither with `postgres://` nor with `sqlite://`.
    #[error("the database's URL begins neither with postgres:// nor with sqlite://")]
    UnknownDatabase,
    /// The address cannot be parsed.
    #[error("the database's URL is malformed")]
    MalformedUrl,
    /// The database or the file does not exist.
    #[error("there is no such database")]
    NoSuchDatabase(#[source] DbErr),
    /// The connection failed.
    #[error("cannot connect to the database to migrate")]
    Connect(#[source] DbErr),
    /// Another process is migrating and held the lock for longer than the time limit.
    #[error("another process holds the lock on the schema")]
    Locked(#[source] DbErr),
    /// A migration failed. All migrations of this run are rolled back.
    #[error("a migration failed, nothing was changed")]
    Failed(#[source] DbErr),
    /// The list of applied migrations could not be read.
    #[error("cannot read which migrations are applied")]
    Status(#[source] DbErr),
}
