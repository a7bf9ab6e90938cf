use gastown_persistence::{ConnectError, MigrateError};

/// The reason why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error("failed to connect to the database")]
    Connect(#[source] ConnectError),
    /// The schema could not be brought up to date.
    #[error("failed to migrate the database")]
    Migrate(#[source] MigrateError),
    /// The state of the schema could not be read.
    #[error("failed to read the state of the database schema")]
    Schema(#[source] MigrateError),
    /// The schema does not exist or is not up to date.
    #[error(
        "the database has pending migrations: {}; run `gastown migrate up`, or set MIGRATE_ON_START=true", pending.join(", ")
    )]
    PendingMigrations {
        /// Their names, oldest first.
        pending: Vec<String>,
    },
    /// The column of `BLOCKED_COLUMN` does not exist.
    #[error("the table kilocode_users has no column {name}; correct BLOCKED_COLUMN")]
    NoBlockedColumn {
        /// The name.
        name: String,
    },
    /// The address is in use, not available, or a name that cannot be resolved.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// A client could not be created.
    #[error("failed to set up {what}")]
    SetUp {
        /// The client.
        what: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}
