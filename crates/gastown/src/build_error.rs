//! The reasons why a builder builds nothing.

use std::fmt;

#[cfg(feature = "postgres")]
use gastown_persistence::{ConnectError, MigrateError};

/// The reason why the control plane was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Settings are missing or wrong. All of them are named, and nothing was connected or started.
    #[error(transparent)]
    Invalid(Mistakes),
    /// The database cannot be used.
    #[cfg(feature = "postgres")]
    #[error("failed to connect to the database")]
    Connect(#[source] ConnectError),
    /// The schema could not be brought up to date.
    #[cfg(feature = "postgres")]
    #[error("failed to migrate the database")]
    Migrate(#[source] MigrateError),
    /// The state of the schema could not be read.
    #[cfg(feature = "postgres")]
    #[error("failed to read the state of the database schema")]
    Schema(#[source] MigrateError),
    /// The schema does not exist or is not up to date.
    #[cfg(feature = "postgres")]
    #[error("the database has pending migrations: {}; call `migrate_at_start`", pending.join(", "))]
    PendingMigrations {
        /// Their names, oldest first.
        pending: Vec<String>,
    },
    /// The given column of blocked users does not exist.
    #[cfg(feature = "postgres")]
    #[error("the table kilocode_users has no column {name}")]
    NoBlockedColumn {
        /// The name.
        name: String,
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

/// Everything that is missing or wrong in a builder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

/// A setting that is missing or wrong. The text never contains its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, as its method of the builder is called.
    pub setting: &'static str,
    /// The problem, such as "is missing".
    pub problem: String,
}

impl Mistakes {
    /// Adds a mistake.
    pub(crate) fn add(&mut self, setting: &'static str, problem: impl fmt::Display) {
        self.0.push(Mistake { setting, problem: problem.to_string() });
    }

    /// Returns the value, and adds its error as a mistake.
    pub(crate) fn checked<T, E: fmt::Display>(&mut self, setting: &'static str, value: Result<T, E>) -> Option<T> {
        value.map_err(|problem| self.add(setting, format_args!("is invalid: {problem}"))).ok()
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.problem)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} setting(s) of the builder are missing or invalid:", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Returns the error of a client that could not be created.
pub(crate) fn set_up<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> BuildError {
    move |cause| BuildError::SetUp { what, cause: Box::new(cause) }
}
