//! The Postgres that all replicas share: a primary with a hot standby, and the way of each replica to it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ephemeral_db::{Cluster, PgBouncer, PoolMode, PostgresProxy};
use sqlx::postgres::{PgPool, PgPoolOptions};

/// How long our own queries wait for a connection. It is shorter than the longest outage.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// One replica of so many reaches the database through a PgBouncer in session mode.
const PER_POOLER: usize = 3;
/// More than a replica uses, because sessions of killed and frozen ones are released late.
const POOLER_CONNECTIONS: u32 = 60;

/// The database, with a pool for our own queries.
pub(super) struct Database {
    /// The address of a database of the user, or of ours.
    url: String,
    /// `None` for a database of the user, which is not ours to disturb.
    servers: Option<Servers>,
    pool: PgPool,
}

/// Our own servers.
pub(super) struct Servers {
    primary: Cluster,
    standby: Option<Cluster>,
    /// The way of our own queries. It is never cut.
    own: PostgresProxy,
    /// The ways of the replicas, which lead to the primary.
    networks: Vec<Arc<PostgresProxy>>,
    poolers: Vec<Option<PgBouncer>>,
}

impl Database {
    /// Starts servers, or uses the given one, and migrates the schema.
    pub(super) async fn open(given: Option<&str>, replicas: u16) -> anyhow::Result<Self> {
        let servers = match given {
            Some(_) => None,
            None => Some(Servers::start(usize::from(replicas)).await?),
        };
        let url = servers.as_ref().map(|servers| servers.own.url()).or(given).unwrap_or_default().to_owned();
        ensure!(
            url.starts_with("postgres://") || url.starts_with("postgresql://"),
            "several replicas need Postgres: use --database postgres://…"
        );
        let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(ACQUIRE_TIMEOUT).connect(&url).await;
        let pool = pool.context("cannot connect to the database")?;
        ensure_vacant(&pool).await?;
        migration::at_url::up(&url).await.context("cannot migrate the database")?;
        Ok(Self { url, servers, pool })
    }

    /// Returns the address for a replica.
    pub(super) fn url_for(&self, replica: usize) -> &str {
        self.servers.as_ref().map_or(&self.url, |servers| servers.url_for(replica))
    }

    /// Returns a pool that reconnects after a restart or a failover.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns the servers, if they may be disturbed.
    pub(super) fn servers(&mut self) -> Option<&mut Servers> {
        self.servers.as_mut()
    }

    /// Returns the networks of the replicas, if they may be disturbed.
    pub(super) fn networks(&self) -> Vec<Arc<PostgresProxy>> {
        self.servers.as_ref().map(|servers| servers.networks.clone()).unwrap_or_default()
    }
}

impl Servers {
    async fn start(replicas: usize) -> anyhow::Result<Self> {
        let primary = Cluster::start_replicated().await?;
        let standby = primary.start_standby().await?;
        primary.commit_on_standby().await?;
        let own = PostgresProxy::in_front_of(primary.url()).await?;
        let (mut networks, mut poolers) = (Vec::new(), Vec::new());
        for replica in 1..=replicas {
            let network = PostgresProxy::in_front_of(primary.url()).await?;
            poolers.push(if replica % PER_POOLER == 0 { Some(pooler(network.url()).await?) } else { None });
            networks.push(Arc::new(network));
        }
        Ok(Self { primary, standby: Some(standby), own, networks, poolers })
    }

    fn url_for(&self, replica: usize) -> &str {
        match &self.poolers[replica] {
            Some(pooler) => pooler.url(),
            None => self.networks[replica].url(),
        }
    }

    /// Crashes the primary and promotes its standby. The address may lead to the standby before it is promoted.
    ///
    /// The old primary is removed. Then a new standby is built, and commits wait for it again. The outage ends before that,
    /// with `back`.
    pub(super) async fn fail_over(&mut self, meets_standby: bool, back: impl FnOnce()) -> anyhow::Result<()> {
        let standby = self.standby.take().context("there is no standby")?;
        self.primary.crash().await?;
        if meets_standby {
            self.lead_to(&standby)?;
        }
        standby.promote().await?;
        if !meets_standby {
            self.lead_to(&standby)?;
        }
        back();
        self.primary = standby;
        self.standby = Some(self.primary.start_standby().await?);
        self.primary.commit_on_standby().await?;
        Ok(())
    }

    /// Crashes the primary, and starts it again after a pause.
    pub(super) async fn restart(&mut self, pause: Duration) -> anyhow::Result<()> {
        self.primary.crash().await?;
        tokio::time::sleep(pause).await;
        self.primary.start_again().await?;
        Ok(())
    }

    fn lead_to(&self, server: &Cluster) -> anyhow::Result<()> {
        for way in self.networks.iter().map(AsRef::as_ref).chain([&self.own]) {
            way.redirect(server.url())?;
            way.disconnect();
        }
        Ok(())
    }
}

/// Returns a pooler that tries soon again after the database was unreachable.
async fn pooler(database: &str) -> anyhow::Result<PgBouncer> {
    let settings = ["server_login_retry = 1", "query_wait_timeout = 10"];
    Ok(PgBouncer::in_front_of(database, PoolMode::Session, POOLER_CONNECTIONS, &settings).await?)
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
