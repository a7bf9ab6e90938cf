//! The errors of all ports that are implemented on the database.

use crate::TownId;
use crate::ports::BoxError;

/// A failed call to the registry. Each variant is one that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The owner already has a live town with this name.
    #[error("town name is already taken")]
    TownNameTaken,
    /// The town already has a rig with this name, ignoring case.
    #[error("rig name is already taken")]
    RigNameTaken,
    /// The idempotency key was used for a different request.
    #[error("idempotency key was used for a different request")]
    KeyReused,
    /// The owner has the maximum number of live towns.
    #[error("limit of {limit} towns is reached")]
    TooManyTowns {
        /// The maximum number.
        limit: u32,
    },
    /// The town has the maximum number of rigs.
    #[error("limit of {limit} rigs is reached")]
    TooManyRigs {
        /// The maximum number.
        limit: u32,
    },
    /// The user has the maximum number of operations in flight.
    #[error("limit of {limit} operations at a time is reached")]
    TooManyOperations {
        /// The maximum number.
        limit: u32,
    },
    /// The owner has no such live town.
    #[error("town not found")]
    TownNotFound,
    /// The owner is not a user of the host application.
    #[error("user not found")]
    UserUnknown,
    /// The caller's token has another pepper than its user, or its user does not exist.
    #[error("token is not valid for its user")]
    Unauthorized,
    /// Another worker has claimed the operation. The caller must stop and change nothing.
    #[error("operation on town {town} was taken over by another worker")]
    Fenced {
        /// The town.
        town: TownId,
    },
    /// A row breaks a rule. Only this row is affected.
    #[error("corrupt row in {table}.{column}, id {id}")]
    CorruptRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The primary key of the row.
        id: String,
        /// The broken rule.
        #[source]
        cause: BoxError,
    },
    /// The database did not answer, or the connection was lost. A write may or may not have happened.
    #[error("database is unavailable")]
    Unavailable {
        /// The error of the driver.
        #[source]
        cause: BoxError,
    },
    /// The transaction kept conflicting with others until its retries were exhausted.
    #[error("transaction {transaction} was retried too often")]
    Contention {
        /// The name of the transaction.
        transaction: &'static str,
        /// The last error.
        #[source]
        cause: BoxError,
    },
    /// The write breaks a constraint that no caller should be able to break, or the SQL is invalid.
    #[error("database refused the statement")]
    Refused {
        /// The constraint, if the database names one.
        constraint: Option<String>,
        /// The error of the driver.
        #[source]
        cause: BoxError,
    },
}

impl StoreError {
    /// Returns true if the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Contention { .. })
    }
}
