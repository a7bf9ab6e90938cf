//! What a database's error means: the only place where `DbErr` becomes `StoreError`.
//!
//! Postgres names the constraint that was broken, SQLite the columns; of a foreign key SQLite names nothing, there the
//! table that was written decides.

use gastown_domain::ports::{BoxError, StoreError};
use sea_orm::{DbErr, RuntimeErr};
use sqlx::error::{DatabaseError, ErrorKind};

/// A constraint that callers may run into.
struct Rule {
    /// Its name, as Postgres reports it.
    name: &'static str,
    /// The columns of a unique one, as SQLite reports them; the table of a foreign key.
    place: &'static str,
    /// What it means when it is broken.
    broken: fn() -> StoreError,
}

const UNIQUE: [Rule; 4] = [
    Rule {
        name: "gastown_towns_user_id_town_name_key",
        place: "gastown_towns.user_id, gastown_towns.town_name",
        broken: || StoreError::TownNameTaken,
    },
    // The sandbox id comes from owner and name; which of the two rules is reported first is the database's choice.
    Rule {
        name: "gastown_towns_sandbox_id_key",
        place: "gastown_towns.sandbox_id",
        broken: || StoreError::TownNameTaken,
    },
    Rule {
        name: "gastown_rigs_town_id_rig_name_key",
        place: "gastown_rigs.town_id, gastown_rigs.rig_name",
        broken: || StoreError::RigNameTaken,
    },
    Rule {
        name: "gastown_town_events_actor_idempotency_key_key",
        place: "gastown_town_events.actor, gastown_town_events.idempotency_key",
        broken: || StoreError::KeyReused,
    },
];

const FOREIGN_KEYS: [Rule; 2] = [
    Rule { name: "gastown_towns_user_id_fkey", place: "gastown_towns", broken: || StoreError::UserUnknown },
    Rule { name: "gastown_rigs_town_id_fkey", place: "gastown_rigs", broken: || StoreError::TownNotFound },
];

/// Why the work of a transaction stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The database said so, while this table was written.
    Database { error: DbErr, writing: Option<&'static str> },
    /// We did.
    Store(StoreError),
}

impl From<DbErr> for Stop {
    fn from(error: DbErr) -> Self {
        Self::Database { error, writing: None }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Stop {
    /// Adds to an error which table was being written.
    pub(crate) fn writing(table: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |error| Self::Database { error, writing: Some(table) }
    }

    /// Whether the whole transaction may simply be repeated: it lost against another one and was undone.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Database { error, .. } if is_conflict(error))
    }
}

impl From<Stop> for StoreError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Database { error, writing } => classify(error, writing),
            Stop::Store(error) => error,
        }
    }
}

/// A failed statement outside of a transaction.
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
        Some(rule) => (rule.broken)(),
        None => StoreError::Refused { constraint: refusal.constraint().map(ToOwned::to_owned), cause: Box::new(error) },
    }
}

fn breaks_unique(refusal: &dyn DatabaseError, rule: &Rule) -> bool {
    match refusal.constraint() {
        Some(name) => name == rule.name,
        // SQLite: "UNIQUE constraint failed: table.column, table.column", and nothing but the message tells which.
        None => refusal.message().strip_prefix("UNIQUE constraint failed: ") == Some(rule.place),
    }
}

/// Postgres: serialization failure, deadlock, no lock in time. SQLite: busy or locked, with their extended codes.
fn is_conflict(error: &DbErr) -> bool {
    let Some(refusal) = refusal(error) else { return false };
    let Some(code) = refusal.code() else { return false };
    match code.parse::<i32>() {
        // SQLite's primary code is the lower byte. Its codes stay below 10 000, those of Postgres have five places.
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6),
        _ => matches!(&*code, "40001" | "40P01" | "55P03"),
    }
}

/// The connection failed, or the database cannot serve now; whether a write took place is not known.
fn is_unavailable(error: &DbErr) -> bool {
    if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
        return true;
    }
    match driver_error(error) {
        Some(sqlx::Error::Database(refusal)) => refusal.code().is_some_and(|code| is_outage(&code)),
        Some(
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed,
        ) => true,
        _ => false,
    }
}

/// Postgres: connection exceptions (08), too little of something (53), an operator or a shutdown (57, which also cuts
/// statements off that take too long), system errors (58), a standby that only reads (25006), a transaction that was
/// ended because it froze (25P03) or that failed before (25P02). SQLite: a disk that is full, fails, or cannot be opened.
fn is_outage(code: &str) -> bool {
    match code.parse::<i32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 10 | 13 | 14),
        _ => {
            matches!(code, "25006" | "25P02" | "25P03")
                || ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        }
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

/// The whole call took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(crate) struct NoAnswer(pub(crate) std::time::Duration);

impl From<NoAnswer> for StoreError {
    fn from(late: NoAnswer) -> Self {
        Self::Unavailable { cause: Box::new(late) }
    }
}

/// A value that cannot be written, by our own rules.
pub(crate) fn unwritable(cause: impl Into<BoxError>) -> StoreError {
    StoreError::Refused { constraint: None, cause: cause.into() }
}
