//! A database of SQLite in a temporary file.

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, SqlitePool};
use tempfile::TempDir;

use super::program;
use super::seed::TOWNS_PER_USER;
use super::users::PEPPER;

/// The time of the database, in the form in which times are stored.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')";

/// A migrated database, removed when it is dropped.
pub(crate) struct Sqlite {
    url: String,
    pool: SqlitePool,
    _folder: TempDir,
}

impl Sqlite {
    pub(crate) async fn create() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to create a folder")?;
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("bench.db").display());
        let mut migrate = program::command("gastown")?;
        migrate.args(["migrate", "up"]).env("DATABASE_URL", &url);
        let output = migrate.output().await.context("failed to run gastown")?;
        ensure!(output.status.success(), "gastown migrate failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        let pool = SqlitePool::connect(&url).await.context("failed to open SQLite")?;
        Ok(Self { url, pool, _folder: folder })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Inserts running towns and their owners, as `seed::towns` does on Postgres.
    pub(crate) async fn insert_towns(&self, count: usize) -> anyhow::Result<()> {
        let numbers =
            |last: usize| format!("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {last})");
        let id = "unhex(printf('%012d', n) || '00000000000000000000')";
        let users = count.div_ceil(TOWNS_PER_USER);
        for statement in [
            format!(
                "{} INSERT INTO kilocode_users (id, api_token_pepper) SELECT 'user-' || n, '{PEPPER}' FROM t",
                numbers(users)
            ),
            format!(
                "{} INSERT INTO gastown_towns (id, user_id, town_name, sandbox_id, fly_machine_id, fly_volume_id, status, \
                 created_at) SELECT {id}, 'user-' || ((n - 1) / {TOWNS_PER_USER} + 1), 'town-' || n, 'bench-' || n, \
                 'machine' || n, 'vol_' || n, 'running', {NOW} FROM t",
                numbers(count)
            ),
            format!(
                "{} INSERT INTO gastown_town_health (town_id, checked_at) SELECT {id}, {NOW} FROM t",
                numbers(count)
            ),
        ] {
            // The statements contain names and numbers of this program only.
            let run = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&self.pool).await;
            run.with_context(|| format!("failed to run {statement}"))?;
        }
        Ok(())
    }

    /// Returns the number of towns with a heartbeat.
    pub(crate) async fn heard_towns(&self) -> anyhow::Result<i64> {
        let query = "SELECT count(*) FROM gastown_towns WHERE last_heartbeat_at IS NOT NULL";
        sqlx::query_scalar(query).fetch_one(&self.pool).await.context("failed to count heartbeats")
    }
}
