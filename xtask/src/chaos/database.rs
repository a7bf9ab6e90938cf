//! The one Postgres of all replicas.

use std::time::Duration;

use anyhow::{Context, ensure};
use ephemeral_db::Cluster;
use sqlx::postgres::{PgPool, PgPoolOptions};

/// How long a look waits for a connection; shorter than the database is ever down on purpose.
const PATIENCE: Duration = Duration::from_secs(2);

/// The database, and our own way into it.
pub(super) struct Database {
    url: String,
    /// None where the user has brought one: it is not ours to restart.
    cluster: Option<Cluster>,
    pool: PgPool,
}

impl Database {
    /// Starts a server, or takes the one that is given, and brings the schema up to date.
    pub(super) async fn open(given: Option<&str>) -> anyhow::Result<Self> {
        let cluster = match given {
            Some(_) => None,
            None => Some(Cluster::start_crash_safe().await?),
        };
        let url = cluster.as_ref().map(Cluster::url).or(given).unwrap_or_default().to_owned();
        ensure!(
            url.starts_with("postgres://") || url.starts_with("postgresql://"),
            "several replicas want Postgres: --database postgres://…"
        );
        let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(PATIENCE).connect(&url).await;
        let pool = pool.context("cannot use the database")?;
        ensure_vacant(&pool).await?;
        migration::at_url::up(&url).await.context("cannot migrate the database")?;
        Ok(Self { url, cluster, pool })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Connections that mend themselves after a restart.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The server, where it may be restarted.
    pub(super) fn cluster(&mut self) -> Option<&mut Cluster> {
        self.cluster.as_mut()
    }
}

/// The replicas drive whatever is in flight, and would miss every town's machine on a Fly that is only simulated.
async fn ensure_vacant(pool: &PgPool) -> anyhow::Result<()> {
    let table: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('gastown_operations')::text").fetch_one(pool).await?;
    if table.is_none() {
        return Ok(());
    }
    let occupied = "SELECT (SELECT count(*) FROM gastown_towns WHERE destroyed_at IS NULL) \
                    + (SELECT count(*) FROM gastown_operations)";
    let occupied: i64 = sqlx::query_scalar(occupied).fetch_one(pool).await?;
    ensure!(occupied == 0, "the database has living towns or operations in flight: chaos wants one without");
    Ok(())
}
