use gastown::BuildError;

/// The reason why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
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
    /// The metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] gastown_metrics::SetUpError),
    /// Another reason of the builder.
    #[error(transparent)]
    Build(BuildError),
    /// The console has no token, and an address that others reach.
    #[error("the console without a token must listen on a loopback address")]
    OpenConsole,
    /// An origin cannot be a header.
    #[error("failed to set up the allowed origins")]
    Origin(#[from] axum::http::header::InvalidHeaderValue),
    /// The address is in use, not available, or a name that cannot be resolved.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
}

impl From<BuildError> for StartError {
    /// Names the operator's way out, where the builder names that of an embedder.
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::PendingMigrations { pending } => Self::PendingMigrations { pending },
            BuildError::NoBlockedColumn { name } => Self::NoBlockedColumn { name },
            other => Self::Build(other),
        }
    }
}
