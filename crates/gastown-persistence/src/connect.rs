use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{Metrics, NoMetrics, StoreError};
use migration::address::{AddressError, DatabaseAddress, PostgresAddress};
use migration::postgres::{self, ConnectFailure};
use sea_orm::{DatabaseConnection, DbErr};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::Semaphore;

use crate::blocked_column::BlockedColumn;
use crate::change_feed::Outbox;
use crate::dialect;
use crate::probe::{PostgresProbe, Probe};
use crate::read_connections::ReadConnections;
use crate::read_only::WriteRefusals;
use crate::reads::ReadStatements;
use crate::session::{Session, SessionError};

/// A connection that was not used for this long is checked before its next use.
pub(crate) const CHECK_AFTER: Duration = Duration::from_secs(1);

/// The address of the database and its time limits.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite://…`, which may contain a password. A missing SQLite file is created.
    pub url: SecretString,
    /// The maximum number of connections, beside one for readiness probes. A SQLite database in memory always has one.
    pub max_connections: u32,
    /// The part of them that only callers' reads use. At least one is left for everything else.
    pub read_connections: u32,
    /// The time limit for a new connection, for a free one of the pool, and for the check of a returned one.
    pub connect_timeout: Duration,
    /// The time limit of a call, including retries of its transaction.
    pub answer_timeout: Duration,
    /// The time limit for locks in one statement: `lock_timeout` of Postgres, the busy timeout of SQLite.
    pub lock_timeout: Duration,
    /// Counts the waits for a connection.
    pub metrics: Arc<dyn Metrics>,
}

impl DatabaseSettings {
    /// Returns the default settings for an address: 10 connections, of which reads use 4. A call has 15 s, a connection
    /// and a lock 5 s.
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: 10,
            read_connections: 4,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(15),
            lock_timeout: Duration::from_secs(5),
            metrics: Arc::new(NoMetrics),
        }
    }
}

impl<T: Into<SecretString>> From<T> for DatabaseSettings {
    /// Returns the default settings for an address.
    fn from(url: T) -> Self {
        Self::at(url)
    }
}

/// A failed connection. The text never contains the address. Its causes may quote the server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address has a mistake. Nothing was resolved or connected.
    #[error("database address {0}")]
    Address(AddressError),
    /// There is no connection to Postgres, or its database cannot be used.
    #[error(transparent)]
    Postgres(ConnectFailure),
    /// A session does not have the settings that it needs.
    #[error(transparent)]
    Session(SessionError),
    /// The SQLite file cannot be opened, or a connection not be closed.
    #[error("failed to open or close the database")]
    Failed(#[source] DbErr),
}

/// The database of the registry: pools of connections that are cheap to clone.
///
/// Callers' reads, readiness probes and everything else have connections of their own, so none waits for another.
/// [`Database::background`] bounds the work without a waiting caller.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gastown_domain::ports::Readiness as _;
/// use gastown_persistence::{Database, DatabaseSettings};
///
/// let database = Database::connect(&DatabaseSettings::at("sqlite::memory:")).await?;
/// database.migrate().await?;
/// database.ready().await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Database {
    /// The connections of everything but reads and probes.
    pub(crate) connection: DatabaseConnection,
    pub(crate) reads: ReadConnections,
    pub(crate) probe: Probe,
    /// Ends the sessions that cannot write.
    pub(crate) refusals: WriteRefusals,
    pub(crate) answer_timeout: Duration,
    pub(crate) metrics: Arc<dyn Metrics>,
    /// The most connections of `connection`.
    pub(crate) max_connections: u32,
    /// The places of background work, half of the connections.
    pub(crate) background_places: Arc<Semaphore>,
    pub(crate) is_background: bool,
    pub(crate) statements: Arc<ReadStatements>,
    /// The column of the user table that tells if a user is blocked, if there is one.
    pub(crate) blocked: Option<BlockedColumn>,
    /// The changed towns that watchers are to hear of.
    pub(crate) outbox: Arc<Outbox>,
    /// The pool of the one connection that listens for changes. `None`: SQLite.
    pub(crate) notifications: Option<PgPool>,
}

impl Database {
    /// Connects. Changes nothing, except that it creates a missing SQLite file.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, ConnectError> {
        let refusals = WriteRefusals::default();
        let (pools, shares) = match settings.url.expose_secret().parse().map_err(ConnectError::Address)? {
            DatabaseAddress::Postgres(address) => {
                let shares = Shares::of(settings, false);
                (postgres_pools(settings, &address, &shares, &refusals).await?, shares)
            }
            #[cfg(not(feature = "sqlite"))]
            DatabaseAddress::Sqlite(_) => return Err(ConnectError::Address(AddressError::SqliteMissing)),
            #[cfg(feature = "sqlite")]
            DatabaseAddress::Sqlite(address) => {
                let shares = Shares::of(settings, address.is_in_memory());
                (sqlite::pools(settings, &address, &shares).await?, shares)
            }
        };
        let backend = pools.connection.get_database_backend();
        let background_places = usize::try_from(shares.others / 2).unwrap_or(usize::MAX).max(1);
        Ok(Self {
            connection: pools.connection,
            reads: pools.reads,
            probe: pools.probe,
            refusals,
            answer_timeout: settings.answer_timeout,
            metrics: Arc::clone(&settings.metrics),
            max_connections: shares.others,
            background_places: Arc::new(Semaphore::new(background_places)),
            is_background: false,
            statements: Arc::new(ReadStatements::new(backend, None)),
            blocked: None,
            outbox: Arc::default(),
            notifications: pools.notifications,
        })
    }

    /// Returns a handle that reads from this column if a user is blocked.
    pub(crate) fn reading_blocked(self, column: BlockedColumn) -> Self {
        let statements = ReadStatements::new(self.connection.get_database_backend(), Some(&column));
        Self { statements: Arc::new(statements), blocked: Some(column), ..self }
    }

    /// Returns a handle for work without a waiting caller. All such handles together use at most half of the connections that
    /// are not reserved for reads, so that slow work delays no caller.
    #[must_use]
    pub fn background(&self) -> Self {
        Self { is_background: true, ..self.clone() }
    }

    /// Returns the time of the database, the only clock that leases are compared with.
    pub async fn time(&self) -> Result<DateTime<Utc>, StoreError> {
        self.read(dialect::now(&self.connection)).await
    }

    /// Migrates the schema to the latest version. Several replicas may call it at once.
    pub async fn migrate(&self) -> Result<(), migration::MigrateError> {
        migration::up(&self.connection).await
    }

    /// Returns the migrations that the database lacks, oldest first. Changes nothing.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, migration::MigrateError> {
        let known = migration::status(&self.connection).await?;
        Ok(known.into_iter().filter(|state| !state.applied).map(|state| state.name).collect())
    }

    /// Closes all connections, including those of other clones.
    pub async fn close(self) -> Result<(), ConnectError> {
        let Self { connection, reads, probe, .. } = self;
        let closed = [reads.close().await, probe.close().await, connection.close().await];
        closed.into_iter().collect::<Result<(), _>>().map_err(ConnectError::Failed)
    }
}

/// The numbers of connections of each pool.
struct Shares {
    /// The connections of callers' reads. 0: reads and probes share those of everything else.
    reads: u32,
    others: u32,
}

impl Shares {
    fn of(settings: &DatabaseSettings, in_memory: bool) -> Self {
        if in_memory {
            return Self { reads: 0, others: 1 };
        }
        let all = settings.max_connections.max(1);
        let reads = settings.read_connections.min(all - 1);
        Self { reads, others: all - reads }
    }
}

/// The connections of a database.
struct Pools {
    connection: DatabaseConnection,
    reads: ReadConnections,
    probe: Probe,
    notifications: Option<PgPool>,
}

/// Connects once and checks the session, then returns pools that connect when they are used. A pool would only say that it
/// timed out.
async fn postgres_pools(
    settings: &DatabaseSettings,
    address: &PostgresAddress,
    shares: &Shares,
    refusals: &WriteRefusals,
) -> Result<Pools, ConnectError> {
    let session = Session::of(settings);
    let timeout = settings.connect_timeout;
    let mut first = postgres::connect(address, timeout).await.map_err(ConnectError::Postgres)?;
    session.set_up(&mut first).await.map_err(ConnectError::Session)?;
    let pool = |connections: u32| {
        let options = pool_options(timeout, &session, refusals).max_connections(connections);
        postgres::lazy_pool(address, options)
    };
    let connection = pool(shares.others);
    let reads = match shares.reads {
        0 => ReadConnections::Pool(connection.clone()),
        reads => ReadConnections::of(settings, &pool(reads), reads, refusals.clone()),
    };
    let probe = PostgresProbe::new(address.clone(), session.clone(), timeout, refusals.clone(), first);
    let notifications = Some(pool(1).get_postgres_connection_pool().clone());
    Ok(Pools { connection, reads, probe: Probe::Postgres(Arc::new(probe)), notifications })
}

/// Returns the options of a pool of Postgres.
///
/// A connection that was not used for [`CHECK_AFTER`] is checked before its use. Another one may have ended since its last
/// use. Then its statement fails.
fn pool_options(timeout: Duration, session: &Session, refusals: &WriteRefusals) -> PgPoolOptions {
    let (session, before, after) = (session.clone(), refusals.clone(), refusals.clone());
    PgPoolOptions::new()
        .acquire_timeout(timeout)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let session = session.clone();
            Box::pin(async move {
                session.set_up(connection).await.map_err(|error| sqlx::Error::Configuration(error.into()))
            })
        })
        .before_acquire(move |connection, used| {
            let is_read_only = before.concerns(used.age);
            Box::pin(async move {
                if !is_read_only && used.idle_for >= CHECK_AFTER {
                    connection.ping().await?;
                }
                Ok(!is_read_only)
            })
        })
        .after_release(move |connection, used| {
            let is_read_only = after.concerns(used.age);
            Box::pin(async move { Ok(!is_read_only && is_alive(connection, timeout).await?) })
        })
}

/// Checks a connection that is returned to the pool, with a time limit.
///
/// The pool's own check has none. After a network failure each connection would block its place in the pool for as long as
/// the system retries, about 15 minutes (FM-34).
pub(crate) async fn is_alive(connection: &mut PgConnection, timeout: Duration) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(timeout, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        // An error makes the pool drop the connection. A regular close would wait too.
        Err(elapsed) => Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed))),
    }
}

#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
mod tests;
