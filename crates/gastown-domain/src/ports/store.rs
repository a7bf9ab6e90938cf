//! What can go wrong with the database, for every port on it.

use crate::TownId;
use crate::ports::BoxError;

/// A failed call to the registry. Each variant is a decision the caller can take.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A living town of this owner has the name.
    #[error("the owner has a living town of this name")]
    TownNameTaken,
    /// The town has a rig of this name, in some spelling of case.
    #[error("the town has a rig of this name")]
    RigNameTaken,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The owner has as many living towns as one may have.
    #[error("the owner has {limit} living towns, and may not have more")]
    TooManyTowns {
        /// How many that is.
        limit: u32,
    },
    /// There is no such living town of this owner.
    #[error("no such town")]
    TownNotFound,
    /// The owner is no user of the host application.
    #[error("no such user")]
    UserUnknown,
    /// Somebody else claimed the operation meanwhile: stop, change nothing.
    #[error("the operation on town {town} was taken over")]
    Fenced {
        /// The town.
        town: TownId,
    },
    /// A row that breaks a rule of ours; it costs this row, not the process.
    #[error("corrupt row in {table}.{column}, id {id}")]
    CorruptRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's primary key.
        id: String,
        /// What is wrong with it.
        #[source]
        cause: BoxError,
    },
    /// The database did not answer, or the connection was lost: whether a write happened is not known.
    #[error("the database is not available")]
    Unavailable {
        /// The driver's error.
        #[source]
        cause: BoxError,
    },
    /// Concurrent transactions kept getting in each other's way until the retries were used up.
    #[error("the transaction {transaction} was retried too often")]
    Contention {
        /// Its name.
        transaction: &'static str,
        /// The last error.
        #[source]
        cause: BoxError,
    },
    /// A constraint that no caller should be able to break, or SQL the database refuses.
    #[error("the database refused")]
    Refused {
        /// The constraint, where the database names one.
        constraint: Option<String>,
        /// The driver's error.
        #[source]
        cause: BoxError,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Contention { .. })
    }
}
