use sea_orm_migration::DbErr;

/// Why the schema is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The address is neither `postgres://…` nor `sqlite://…`.
    #[error("the database's URL begins neither with postgres:// nor with sqlite://")]
    UnknownDatabase,
    /// The address cannot be read.
    #[error("the database's URL is malformed")]
    MalformedUrl,
    /// There is no database of this name, or no file.
    #[error("there is no such database")]
    NoSuchDatabase(#[source] DbErr),
    /// No connection.
    #[error("cannot connect to the database to migrate")]
    Connect(#[source] DbErr),
    /// Another process has been migrating for longer than we wait.
    #[error("another process holds the lock on the schema")]
    Locked(#[source] DbErr),
    /// A migration failed; all migrations of this run are undone.
    #[error("a migration failed, nothing was changed")]
    Failed(#[source] DbErr),
    /// The list of applied migrations could not be read.
    #[error("cannot read which migrations are applied")]
    Status(#[source] DbErr),
}
