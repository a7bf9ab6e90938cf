//! Everything that differs between the two databases.

use chrono::{DateTime, SubsecRound as _, Utc};
use gastown_domain::UserId;
use sea_orm::sea_query::{Expr, LockBehavior, LockType, SelectStatement};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, QuerySelect as _, Select, SqliteTransactionMode, Statement,
    TransactionOptions,
};

/// Returns the options of every transaction.
///
/// SQLite takes its single write lock at once, because a transaction that reads first could not upgrade without failing.
/// Postgres uses read committed and locks single rows.
pub(crate) fn transaction_options() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// Locks the selected rows against other writers, but not against foreign keys that refer to them.
///
/// SQLite has no such clause and needs none, because the transaction already holds the write lock.
pub(crate) fn locked<E: EntityTrait>(select: Select<E>) -> Select<E> {
    select.lock(LockType::NoKeyUpdate)
}

/// Locks the selected rows of this table, and skips rows that are locked by others. Has no effect on SQLite.
pub(crate) fn skip_locked<E: EntityTrait>(select: &mut SelectStatement, lock: LockType, table: E) {
    select.lock_with_tables_behavior(lock, [table.table_ref()], LockBehavior::SkipLocked);
}

/// Waits until no other transaction creates towns for this owner.
///
/// A lock on the owner's row would need write access to the host's table and could block the host.
pub(crate) async fn serialize_creates_of(owner: &UserId, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    let backend = tx.get_database_backend();
    if backend == DbBackend::Postgres {
        // Owners with the same hash wait for each other, which is harmless.
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended('gastown creates for ' || $1, 0))";
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, [owner.as_str().into()])).await?;
    }
    Ok(())
}

/// Waits until no other transaction starts a rollout.
pub(crate) async fn serialize_rollouts(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    let backend = tx.get_database_backend();
    if backend == DbBackend::Postgres {
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended('gastown rollouts', 0))";
        tx.execute_raw(Statement::from_string(backend, sql)).await?;
    }
    Ok(())
}

/// Returns the time of the database, the only clock that leases are compared with.
///
/// On Postgres it is the time of the statement in microseconds, because the transaction may have waited for a lock. On
/// SQLite it is the time of this machine in milliseconds.
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

/// Returns the expression for the time of the database plus `millis`, in the form in which times are stored.
pub(crate) fn now_plus(backend: DbBackend, millis: i64) -> Expr {
    Expr::cust(now_plus_sql(backend, millis))
}

/// Returns the text of [`now_plus`].
pub(crate) fn now_plus_sql(backend: DbBackend, millis: i64) -> String {
    match backend {
        DbBackend::Sqlite => {
            let sign = if millis < 0 { "-" } else { "" };
            let (seconds, millis) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
            let sum = format!("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '{sign}{seconds}.{millis:03} seconds')");
            // Stored times have no fraction of zero, and SQLite compares them as text.
            format!("replace({sum}, '.000+', '+')")
        }
        // The same in all of a statement. A wait for a lock in it shortens a lease, which is safe.
        _ => format!("statement_timestamp() + interval '{millis} milliseconds'"),
    }
}

/// Returns the whole milliseconds between the least time of a column and the time of the database.
pub(crate) fn millis_since_least(backend: DbBackend, column: &str) -> Expr {
    match backend {
        DbBackend::Sqlite => {
            Expr::cust(format!("CAST((julianday('now') - julianday(MIN({column}))) * 86400000 AS INTEGER)"))
        }
        _ => Expr::cust(format!("CAST(EXTRACT(EPOCH FROM statement_timestamp() - MIN({column})) * 1000 AS bigint)")),
    }
}

/// Matches rows whose time in a column of `gastown_town_health` is as many minutes ago as another column says.
pub(crate) fn is_minutes_ago(backend: DbBackend, column: &str, minutes: &str) -> Expr {
    let (column, minutes) = (format!("gastown_town_health.{column}"), format!("gastown_town_health.{minutes}"));
    match backend {
        DbBackend::Sqlite => Expr::cust(format!("julianday({column}) <= julianday('now') - {minutes} / 1440.0")),
        _ => Expr::cust(format!("{column} <= statement_timestamp() - {minutes} * interval '1 minute'")),
    }
}

/// Matches rows whose JSON column is an object without this key.
pub(crate) fn lacks_key(backend: DbBackend, column: &str, key: &str) -> Expr {
    match backend {
        DbBackend::Sqlite => Expr::cust(format!("json_type({column}, '$.{key}') IS NULL")),
        _ => Expr::cust(format!("{column} -> '{key}' IS NULL")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ephemeral_db::TestDatabase;
    use sea_orm::TransactionTrait as _;

    use super::*;

    /// Returns the plan of each database for tables that are too large for a full scan.
    pub(crate) async fn plans(query: &SelectStatement) -> [String; 2] {
        plans_of(|backend| backend.build(query)).await
    }

    /// Returns the plan of each database for a statement, as [`plans`] does.
    pub(crate) async fn plans_of(statement: impl Fn(DbBackend) -> Statement) -> [String; 2] {
        plans_after("", statement).await
    }

    /// Returns the plan of each database for a statement on many towns with their health.
    pub(crate) async fn plans_on_many_towns(statement: impl Fn(DbBackend) -> Statement) -> [String; 2] {
        let fill = "SET LOCAL session_replication_role = replica; \
                    INSERT INTO gastown_towns (id, user_id, town_name, sandbox_id, status, created_at) \
                    SELECT gen_random_uuid(), 'alice', 'mill-' || n, 'mill-' || n, 'running', now() \
                    FROM generate_series(1, 2000) n; \
                    INSERT INTO gastown_town_health (town_id) SELECT id FROM gastown_towns; \
                    ANALYZE gastown_towns; ANALYZE gastown_town_health";
        plans_after(fill, statement).await
    }

    /// Returns the plans after these statements on Postgres, whose plans depend on the rows.
    async fn plans_after(fill: &str, statement: impl Fn(DbBackend) -> Statement) -> [String; 2] {
        let migrate = async |url: String| migration::at_url::up(&url).await;
        let postgres = TestDatabase::postgres(migrate).await.unwrap();
        let sqlite = TestDatabase::sqlite(migrate).await.unwrap();
        let db = sea_orm::Database::connect(postgres.url()).await.unwrap().begin().await.unwrap();
        db.execute_unprepared("SET LOCAL enable_seqscan = off").await.unwrap();
        db.execute_unprepared(fill).await.unwrap();
        let on_postgres = explained(&db, "EXPLAIN", 0, statement(DbBackend::Postgres)).await;
        let db = sea_orm::Database::connect(sqlite.url()).await.unwrap();
        [on_postgres, explained(&db, "EXPLAIN QUERY PLAN", 3, statement(DbBackend::Sqlite)).await]
    }

    /// Returns the number of look-ups of a unique index by which SQLite detects the conflicts of an insert.
    pub(crate) async fn conflicts_on_sqlite(statement: Statement) -> usize {
        let migrate = async |url: String| migration::at_url::up(&url).await;
        let sqlite = TestDatabase::sqlite(migrate).await.unwrap();
        let db = sea_orm::Database::connect(sqlite.url()).await.unwrap();
        let program = explained(&db, "EXPLAIN", 1, statement).await;
        program.lines().filter(|opcode| *opcode == "NoConflict").count()
    }

    async fn explained(db: &impl ConnectionTrait, explain: &str, column: usize, mut statement: Statement) -> String {
        statement.sql = format!("{explain} {}", statement.sql);
        let lines = db.query_all_raw(statement).await.unwrap();
        lines.iter().map(|line| line.try_get_by_index::<String>(column).unwrap() + "\n").collect()
    }
}
