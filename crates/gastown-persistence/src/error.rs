//! The only place where a `DbErr` becomes a `StoreError`.
//!
//! Postgres names the violated constraint, SQLite its columns. For a foreign key SQLite names nothing, so the table that
//! was written decides.

use std::borrow::Cow;
use std::sync::Arc;

use gastown_domain::ports::{BoxError, StoreError};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::error::{DatabaseError, ErrorKind};

/// A constraint that callers may violate.
struct Rule {
    /// The name, as Postgres reports it.
    name: &'static str,
    /// The columns of a unique constraint, as SQLite reports them, or the table of a foreign key.
    place: &'static str,
    /// Returns the error for a violation.
    violation: fn() -> StoreError,
}

const UNIQUE: [Rule; 4] = [
    Rule {
        name: "gastown_towns_user_id_town_name_key",
        place: "gastown_towns.user_id, gastown_towns.town_name",
        violation: || StoreError::TownNameTaken,
    },
    // The sandbox id is derived from owner and name, and the database may report either constraint.
    Rule {
        name: "gastown_towns_sandbox_id_key",
        place: "gastown_towns.sandbox_id",
        violation: || StoreError::TownNameTaken,
    },
    Rule {
        name: "gastown_rigs_town_id_rig_name_key",
        place: "gastown_rigs.town_id, gastown_rigs.rig_name",
        violation: || StoreError::RigNameTaken,
    },
    Rule {
        name: "gastown_town_events_actor_idempotency_key_key",
        place: "gastown_town_events.actor, gastown_town_events.idempotency_key",
        violation: || StoreError::KeyReused,
    },
];

const FOREIGN_KEYS: [Rule; 2] = [
    Rule { name: "gastown_towns_user_id_fkey", place: "gastown_towns", violation: || StoreError::UserUnknown },
    Rule { name: "gastown_rigs_town_id_fkey", place: "gastown_rigs", violation: || StoreError::TownNotFound },
];

/// The error that ends a transaction.
#[derive(Debug)]
pub(crate) enum TxError {
    /// An error of the database, and the table that was being written.
    Database { error: DbErr, writing: Option<&'static str> },
    /// An error of the registry.
    Store(StoreError),
}

impl From<DbErr> for TxError {
    fn from(error: DbErr) -> Self {
        Self::Database { error, writing: None }
    }
}

impl From<StoreError> for TxError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl TxError {
    /// Returns a function that adds the written table to an error.
    pub(crate) fn writing(table: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |error| Self::Database { error, writing: Some(table) }
    }

    /// Returns true if the transaction conflicted with another one and was rolled back, so that it may be repeated.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Database { error, .. } if is_conflict(error))
    }
}

impl From<TxError> for StoreError {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Database { error, writing } => classify(error, writing),
            TxError::Store(error) => error,
        }
    }
}

/// Converts an error of the driver.
pub(crate) fn driver_failed(error: sqlx::Error) -> StoreError {
    store_error(DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))
}

/// Converts the error of a statement outside of a transaction.
pub(crate) fn store_error(error: DbErr) -> StoreError {
    classify(error, None)
}

fn classify(error: DbErr, writing: Option<&'static str>) -> StoreError {
    if is_unavailable(&error) {
        return StoreError::Unavailable { cause: Box::new(error) };
    }
    let Some(refusal) = refusal(&error) else {
        return StoreError::Refused { constraint: None, cause: Box::new(error) };
    };
    let rule = match refusal.kind() {
        ErrorKind::UniqueViolation => UNIQUE.iter().find(|rule| breaks_unique(refusal, rule)),
        ErrorKind::ForeignKeyViolation => FOREIGN_KEYS.iter().find(|rule| match refusal.constraint() {
            Some(name) => name == rule.name,
            None => writing == Some(rule.place),
        }),
        _ => None,
    };
    match rule {
        Some(rule) => (rule.violation)(),
        None => StoreError::Refused { constraint: refusal.constraint().map(ToOwned::to_owned), cause: Box::new(error) },
    }
}

fn breaks_unique(refusal: &dyn DatabaseError, rule: &Rule) -> bool {
    match refusal.constraint() {
        Some(name) => name == rule.name,
        // SQLite reports the columns only in its message.
        None => refusal.message().strip_prefix("UNIQUE constraint failed: ") == Some(rule.place),
    }
}

/// Returns true for a conflict with another transaction.
///
/// Postgres: serialization failure, deadlock, lock timeout. SQLite: busy or locked, with their extended codes.
fn is_conflict(error: &DbErr) -> bool {
    let Some(refusal) = refusal(error) else { return false };
    let Some(code) = refusal.code() else { return false };
    match code.parse::<i32>() {
        // The primary code of SQLite is the lower byte. Its codes are below 10 000, those of Postgres have five digits.
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6),
        _ => matches!(&*code, "40001" | "40P01" | "55P03"),
    }
}

/// Returns true if the connection failed or the database is unavailable. A write may or may not have happened.
fn is_unavailable(error: &DbErr) -> bool {
    if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
        return true;
    }
    driver_error(error).is_some_and(is_driver_unavailable)
}

/// Returns true if the driver's error means that the connection failed or the database is unavailable.
pub(crate) fn is_driver_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| is_outage(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Returns true for the code of an outage.
///
/// - Postgres, classes: connection exceptions (08), insufficient resources (53), operator intervention, shutdown and
///   statement timeout (57), system errors (58)
/// - Postgres, codes: read-only standby (25006), idle transaction timeout (25P03), failed transaction (25P02), no such database
///   (3D000, when connecting)
/// - SQLite: a disk that is full, fails, or cannot be opened
fn is_outage(code: &str) -> bool {
    match code.parse::<i32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 10 | 13 | 14),
        _ => {
            matches!(code, "25006" | "25P02" | "25P03" | "3D000")
                || ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        }
    }
}

/// Returns the code of the database's refusal.
pub(crate) fn code(error: &StoreError) -> Option<String> {
    refusal(database_error(error)?)?.code().map(Cow::into_owned)
}

/// Returns true if a pool had no connection in time.
pub(crate) fn is_without_connection(error: &StoreError) -> bool {
    match database_error(error) {
        Some(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) => true,
        Some(error) => matches!(driver_error(error), Some(sqlx::Error::PoolTimedOut)),
        None => false,
    }
}

fn database_error(error: &StoreError) -> Option<&DbErr> {
    match error {
        StoreError::Unavailable { cause } => cause.downcast_ref(),
        _ => None,
    }
}

fn refusal(error: &DbErr) -> Option<&dyn DatabaseError> {
    match driver_error(error)? {
        sqlx::Error::Database(refusal) => Some(&**refusal),
        _ => None,
    }
}

fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// A call that exceeded its time limit.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(crate) struct CallTimeout(pub(crate) std::time::Duration);

impl From<CallTimeout> for StoreError {
    fn from(timeout: CallTimeout) -> Self {
        Self::Unavailable { cause: Box::new(timeout) }
    }
}

/// Returns the error for a value that must not be written.
pub(crate) fn unwritable(cause: impl Into<BoxError>) -> StoreError {
    StoreError::Refused { constraint: None, cause: cause.into() }
}
