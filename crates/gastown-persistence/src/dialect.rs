//! What only one of the two databases has, in one place.

use chrono::{DateTime, SubsecRound as _, Utc};
use gastown_domain::UserId;
use sea_orm::sea_query::{LockBehavior, LockType, SelectStatement};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, QuerySelect as _, Select, SqliteTransactionMode, Statement,
    TransactionOptions,
};

/// How a transaction begins. SQLite takes its one write lock at once: a transaction that reads first and then wants to
/// write would fail without waiting. Postgres reads what is committed; rows are locked one by one.
pub(crate) fn transaction_options() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// Locks the rows it finds against other writers, not against foreign keys that point at them. SQLite has no such
/// clause and needs none: there the transaction holds the write lock already.
pub(crate) fn locked<E: EntityTrait>(select: Select<E>) -> Select<E> {
    select.lock(LockType::NoKeyUpdate)
}

/// Locks the rows of this table that it finds, and passes over those that somebody else has locked instead of waiting
/// for them. On SQLite nobody else has locked anything.
pub(crate) fn pass_over_locked<E: EntityTrait>(select: &mut SelectStatement, lock: LockType, table: E) {
    select.lock_with_tables_behavior(lock, [table.table_ref()], LockBehavior::SkipLocked);
}

/// Waits until no other transaction creates towns for this owner. A lock on the owner's row would want more rights on
/// the host's table than reading it, and get in the way of whatever the host does to it.
pub(crate) async fn alone_for(owner: &UserId, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    let backend = tx.get_database_backend();
    if backend == DbBackend::Postgres {
        // Two owners of one hash wait for each other, which costs them a moment.
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended('gastown creates for ' || $1, 0))";
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, [owner.as_str().into()])).await?;
    }
    Ok(())
}

/// The database's clock, which alone judges leases. Postgres: microseconds, and the time of the statement rather than
/// of the transaction, which may have waited for a lock. SQLite: milliseconds, the clock of this machine.
pub(crate) async fn now(db: &impl ConnectionTrait) -> Result<DateTime<Utc>, DbErr> {
    let backend = db.get_database_backend();
    let sql = match backend {
        DbBackend::Sqlite => "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') AS now",
        _ => "SELECT clock_timestamp() AS now",
    };
    let row = db.query_one_raw(Statement::from_string(backend, sql)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?;
    Ok(row.try_get::<DateTime<Utc>>("", "now")?.trunc_subsecs(6))
}

#[cfg(test)]
pub(crate) mod tests {
    use ephemeral_db::TestDatabase;
    use sea_orm::TransactionTrait as _;

    use super::*;

    /// How each database would carry this out on tables so large that reading all of one is out of the question.
    pub(crate) async fn plans(query: &SelectStatement) -> [String; 2] {
        let migrate = async |url: String| migration::at_url::up(&url).await;
        let postgres = TestDatabase::postgres(migrate).await.unwrap();
        let sqlite = TestDatabase::sqlite(migrate).await.unwrap();
        let db = sea_orm::Database::connect(postgres.url()).await.unwrap().begin().await.unwrap();
        db.execute_unprepared("SET LOCAL enable_seqscan = off").await.unwrap();
        let on_postgres = explained(&db, "EXPLAIN", 0, query).await;
        let db = sea_orm::Database::connect(sqlite.url()).await.unwrap();
        [on_postgres, explained(&db, "EXPLAIN QUERY PLAN", 3, query).await]
    }

    async fn explained(db: &impl ConnectionTrait, explain: &str, column: usize, query: &SelectStatement) -> String {
        let mut statement = db.get_database_backend().build(query);
        statement.sql = format!("{explain} {}", statement.sql);
        let lines = db.query_all_raw(statement).await.unwrap();
        lines.iter().map(|line| line.try_get_by_index::<String>(column).unwrap() + "\n").collect()
    }
}
