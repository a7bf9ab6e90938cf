//! The Postgres that all replicas share.

use std::time::Duration;

use anyhow::{Context, ensure};
use ephemeral_db::Cluster;
use sqlx::postgres::{PgPool, PgPoolOptions};

/// How long our own queries wait for a connection. It is shorter than the longest outage.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// The database, with a pool for our own queries.
pub(super) struct Database {
    url: String,
    /// `None` for a database of the user, which is not ours to restart.
    cluster: Option<Cluster>,
    pool: PgPool,
}

impl Database {
    /// Starts a server, or uses the given one, and migrates the schema.
    pub(super) async fn open(given: Option<&str>) -> anyhow::Result<Self> {
        let cluster = match given {
            Some(_) => None,
            None => Some(Cluster::start_crash_safe().await?),
        };
        let url = cluster.as_ref().map(Cluster::url).or(given).unwrap_or_default().to_owned();
        ensure!(
            url.starts_with("postgres://") || url.starts_with("postgresql://"),
            "several replicas need Postgres: use --database postgres://…"
        );
        let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(ACQUIRE_TIMEOUT).connect(&url).await;
        let pool = pool.context("cannot connect to the database")?;
        ensure_vacant(&pool).await?;
        migration::at_url::up(&url).await.context("cannot migrate the database")?;
        Ok(Self { url, cluster, pool })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns a pool that reconnects after a restart.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns the server, if it may be restarted.
    pub(super) fn cluster(&mut self) -> Option<&mut Cluster> {
        self.cluster.as_mut()
    }
}

/// Fails if the database holds towns. Replicas would take over their operations, and their machines would be missing on
/// the simulated Fly.
async fn ensure_vacant(pool: &PgPool) -> anyhow::Result<()> {
    let table: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('gastown_operations')::text").fetch_one(pool).await?;
    if table.is_none() {
        return Ok(());
    }
    let occupied = "SELECT (SELECT count(*) FROM gastown_towns WHERE destroyed_at IS NULL) \
                    + (SELECT count(*) FROM gastown_operations)";
    let occupied: i64 = sqlx::query_scalar(occupied).fetch_one(pool).await?;
    ensure!(occupied == 0, "the database has towns or operations in flight; use an empty one");
    Ok(())
}
