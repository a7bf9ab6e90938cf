//! The check that each connection has a session of its own.
//!
//! A pooler may give each transaction another session, as PgBouncer does with `pool_mode` transaction or statement. Settings
//! and prepared statements of one connection would then reach another one. Two connections show this: they see the same
//! session, or one of them sees two.
//!
//! An idle pooler gives out either the session that it got back last, or the one that was unused for longest. Each round
//! contains an order of reads that notices the one, and an order that notices the other. Further rounds are for a pooler
//! that other clients use too.

use std::time::Duration;

use sea_orm_migration::sea_orm::sqlx::postgres::PgConnection;
use sea_orm_migration::sea_orm::sqlx::{self, AssertSqlSafe, Row as _};

/// The number of rounds. Each costs about ten round trips.
const ROUNDS: usize = 3;

/// A setting without a meaning that each connection sets to its own name. A pooler that only shares sessions which set
/// nothing stops sharing them.
const MARK: &str = "gastown.connection";

/// A connection, with what it saw of its session.
struct Observed<'a> {
    connection: &'a mut PgConnection,
    session: String,
}

/// Returns true if both connections have sessions of their own.
///
/// `wait` is the time limit for a read while the other connection has a transaction. A pooler with only one session would
/// make it wait.
pub(super) async fn are_separate(
    one: &mut PgConnection,
    other: &mut PgConnection,
    wait: Duration,
) -> Result<bool, sqlx::Error> {
    let mut one = Observed::marked(one, "one").await?;
    let mut other = Observed::marked(other, "other").await?;
    if one.session == other.session {
        return Ok(false);
    }
    for _ in 0..ROUNDS {
        let is_same =
            one.reads_the_same_while(&mut other, wait).await? && other.reads_the_same_while(&mut one, wait).await?;
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<'a> Observed<'a> {
    async fn marked(connection: &'a mut PgConnection, mark: &str) -> Result<Self, sqlx::Error> {
        let session = read(connection, &format!("SET {MARK} = '{mark}'; ")).await?;
        Ok(Self { connection, session })
    }

    /// Returns false if this connection sees another session than before, outside of a transaction or while `other` has one.
    async fn reads_the_same_while(&mut self, other: &mut Self, wait: Duration) -> Result<bool, sqlx::Error> {
        // Several in a row, because a pooler may use its sessions in turn.
        if !(self.reads_the_same("").await?
            && self.reads_the_same("").await?
            && other.reads_the_same("BEGIN; ").await?)
        {
            return Ok(false);
        }
        let read = tokio::time::timeout(wait, self.reads_the_same("")).await;
        let is_same = match read {
            Ok(read) => read?,
            // Its session is in use by the other connection.
            Err(_elapsed) => return Ok(false),
        };
        Ok(is_same && other.reads_the_same("ROLLBACK; ").await?)
    }

    async fn reads_the_same(&mut self, before: &str) -> Result<bool, sqlx::Error> {
        Ok(read(self.connection, before).await? == self.session)
    }
}

/// Runs a statement and returns the mark and the process of the session in which it ran.
///
/// Both are one message without prepared statements, so that no pooler gives them different sessions.
async fn read(connection: &mut PgConnection, before: &str) -> Result<String, sqlx::Error> {
    let query =
        format!("{before}SELECT pg_catalog.pg_backend_pid() || ' ' || pg_catalog.current_setting('{MARK}', true)");
    let row = sqlx::raw_sql(AssertSqlSafe(query)).fetch_one(connection).await?;
    row.try_get::<Option<String>, _>(0).map(Option::unwrap_or_default)
}
