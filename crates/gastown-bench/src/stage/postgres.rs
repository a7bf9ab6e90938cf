//! The Postgres server of a run and its databases.

use std::path::Path;

use anyhow::{Context as _, ensure};
use ephemeral_db::Cluster;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use super::program;

/// The settings beyond those of a test cluster. Statistics of statements are off until a database turns them on.
const SETTINGS: &[&str] = &["shared_buffers=512MB", "max_wal_size=4GB", "work_mem=16MB", "checkpoint_timeout=30min"];
const STATISTICS: &[&str] = &["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=none"];

/// A server on which commits are not synced to disk, so that disks do not matter.
pub(crate) struct Postgres {
    cluster: Cluster,
    process: u32,
    admin: PgPool,
    has_statistics: bool,
}

/// A migrated database.
pub(crate) struct Database {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    /// Connections whose statements are not counted.
    pub(crate) pool: PgPool,
}

impl Postgres {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let has_statistics = has_statistics();
        let settings = if has_statistics { [SETTINGS, STATISTICS].concat() } else { SETTINGS.to_vec() };
        let cluster = Cluster::start_configured(&settings).await.context("failed to start Postgres")?;
        let process = cluster.process_id().context("failed to read Postgres' process id")?;
        let admin = connect(cluster.url()).await?;
        if has_statistics {
            execute(&admin, "CREATE EXTENSION pg_stat_statements").await?;
        }
        Ok(Self { cluster, process, admin, has_statistics })
    }

    /// Creates a database with the tables of the control plane.
    pub(crate) async fn create(&self, name: &'static str) -> anyhow::Result<Database> {
        execute(&self.admin, &format!("CREATE DATABASE {name}")).await?;
        let url = self.cluster.url().replacen("/postgres?", &format!("/{name}?"), 1);
        let mut migrate = program::command("gastown")?;
        migrate.args(["migrate", "up"]).env("DATABASE_URL", &url);
        let output = migrate.output().await.context("failed to run gastown")?;
        ensure!(output.status.success(), "gastown migrate failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(Database { name, pool: connect(&url).await?, url })
    }

    /// Counts the statements of later connections to a database. Returns false if `pg_stat_statements` is not installed.
    pub(crate) async fn count_statements_of(&self, database: &Database) -> anyhow::Result<bool> {
        if self.has_statistics {
            let name = database.name;
            execute(&self.admin, &format!("ALTER DATABASE {name} SET pg_stat_statements.track = 'top'")).await?;
        }
        Ok(self.has_statistics)
    }

    /// Returns how often statements that match a pattern ran in a database whose statements are counted.
    ///
    /// Errors: no such statement was counted.
    pub(crate) async fn calls_of(&self, database: &Database, pattern: &str) -> anyhow::Result<usize> {
        // The extension is in the database of the administrator only.
        let query = "SELECT coalesce(sum(s.calls), 0)::bigint FROM pg_stat_statements s \
                     JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1 AND s.query ~ $2";
        let counted =
            sqlx::query_scalar::<_, i64>(query).bind(database.name).bind(pattern).fetch_one(&self.admin).await;
        let count = usize::try_from(counted.context("failed to count statements")?).context("a count is negative")?;
        ensure!(count > 0, "no writing statement was counted");
        Ok(count)
    }

    /// Returns the connections to the database `postgres`.
    pub(crate) fn admin(&self) -> &PgPool {
        &self.admin
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process
    }

    pub(crate) fn socket_directory(&self) -> &Path {
        self.cluster.socket_directory()
    }
}

impl Database {
    pub(crate) async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        execute(&self.pool, statement).await
    }

    /// Returns the first column of the first row, which must be a count.
    pub(crate) async fn count(&self, query: &str) -> anyhow::Result<i64> {
        let counted = sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&self.pool).await;
        counted.with_context(|| format!("failed to run {query}"))
    }
}

async fn connect(url: &str) -> anyhow::Result<PgPool> {
    let options = PgPoolOptions::new().max_connections(2).after_connect(|connection, _| {
        Box::pin(
            async move { sqlx::query("SET pg_stat_statements.track = 'none'").execute(connection).await.map(|_| ()) },
        )
    });
    options.connect(url).await.context("failed to connect to Postgres")
}

async fn execute(pool: &PgPool, statement: &str) -> anyhow::Result<()> {
    // The statements contain names and numbers of this program only.
    let run = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool).await;
    run.map(|_| ()).with_context(|| format!("failed to run {statement}"))
}

/// Returns true if the extension `pg_stat_statements` is installed with the server's programs.
fn has_statistics() -> bool {
    let Some(server) = Cluster::program("postgres") else { return false };
    let Some(root) = server.parent().and_then(Path::parent) else { return false };
    ["lib", "lib/postgresql"].iter().any(|folder| root.join(folder).join("pg_stat_statements.so").is_file())
}
