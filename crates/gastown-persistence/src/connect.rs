use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectOptions, DatabaseConnection, DbErr, RuntimeErr};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Semaphore;

use crate::read_connections::ReadConnections;

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
        }
    }
}

/// A failed connection. The text never contains the address.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is neither that of Postgres nor of SQLite.
    #[error("database URL must begin with postgres:// or sqlite://")]
    UnknownDatabase,
    /// The address cannot be parsed.
    #[error("database URL is malformed")]
    Malformed,
    /// The database did not answer, or refused the connection.
    #[error("failed to connect to the database")]
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
    pub(crate) probe: DatabaseConnection,
    pub(crate) answer_timeout: Duration,
    /// The places of background work, half of the connections.
    pub(crate) background_places: Arc<Semaphore>,
    pub(crate) is_background: bool,
}

impl Database {
    /// Connects. Changes nothing, except that it creates a missing SQLite file.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, ConnectError> {
        let shares = Shares::of(settings);
        let connection = open(settings, shares.others, false, CHECK_AFTER).await?;
        let (reads, probe) = if shares.reads == 0 {
            (ReadConnections::Pool(connection.clone()), connection.clone())
        } else {
            let reads = open(settings, shares.reads, true, CHECK_AFTER).await?;
            let reads = ReadConnections::of(reads, shares.reads, settings.connect_timeout);
            // A probe must not fail because its connection has ended.
            (reads, open(settings, 1, true, Duration::ZERO).await?)
        };
        let background_places = usize::try_from(shares.others / 2).unwrap_or(usize::MAX).max(1);
        Ok(Self {
            connection,
            reads,
            probe,
            answer_timeout: settings.answer_timeout,
            background_places: Arc::new(Semaphore::new(background_places)),
            is_background: false,
        })
    }

    /// Returns a handle for work without a waiting caller. All such handles together use at most half of the connections that
    /// are not reserved for reads, so that slow work delays no caller.
    #[must_use]
    pub fn background(&self) -> Self {
        Self { is_background: true, ..self.clone() }
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

fn refused(error: DbErr) -> ConnectError {
    match error {
        // The text of this error quotes the address with its password.
        DbErr::Conn(RuntimeErr::Internal(_)) => ConnectError::Malformed,
        other => ConnectError::Failed(other),
    }
}

/// The numbers of connections of each pool.
struct Shares {
    /// The connections of callers' reads. 0: reads and probes share those of everything else.
    reads: u32,
    others: u32,
}

impl Shares {
    fn of(settings: &DatabaseSettings) -> Self {
        if is_in_memory(settings.url.expose_secret()) {
            return Self { reads: 0, others: 1 };
        }
        let all = settings.max_connections.max(1);
        let reads = settings.read_connections.min(all - 1);
        Self { reads, others: all - reads }
    }
}

/// Returns true for a SQLite database that exists only as long as its one connection.
fn is_in_memory(url: &str) -> bool {
    url.starts_with("sqlite:") && url.contains(":memory:")
}

/// Opens a pool of at most this many connections. A lazy one connects when it is used.
///
/// A connection that was not used for `check_after` is checked before its use. Another one may have ended since its last
/// use. Then its statement fails.
async fn open(
    settings: &DatabaseSettings,
    connections: u32,
    lazy: bool,
    check_after: Duration,
) -> Result<DatabaseConnection, ConnectError> {
    let mut options = options(settings)?;
    options.max_connections(connections).connect_lazy(lazy).test_before_acquire_if_idle_for(check_after);
    sea_orm::Database::connect(options).await.map_err(refused)
}

fn options(settings: &DatabaseSettings) -> Result<ConnectOptions, ConnectError> {
    let url = migration::at_url::driver_url(settings.url.expose_secret()).ok_or(ConnectError::UnknownDatabase)?;
    let in_memory = is_in_memory(&url);
    let mut options = ConnectOptions::new(url);
    options
        .min_connections(u32::from(in_memory))
        .connect_timeout(settings.connect_timeout)
        .acquire_timeout(settings.connect_timeout)
        .set_application_name("gastown")
        .statement_timeout(settings.answer_timeout)
        .sqlx_logging(false);
    if in_memory {
        options.idle_timeout(None).max_lifetime(None);
    }
    let timeout = settings.connect_timeout;
    options.map_sqlx_postgres_pool_opts(move |pool| {
        pool.after_release(move |connection, _| Box::pin(is_alive(connection, timeout)))
    });
    let lock_timeout = settings.lock_timeout;
    let session = session(settings);
    options.map_sqlx_postgres_opts(move |postgres| postgres.options(session.clone()));
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With WAL, NORMAL could lose the last commits in a power failure.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(lock_timeout)
    });
    Ok(options)
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

/// Returns the session settings of Postgres, which override its configuration.
///
/// Commits are durable and statements see committed rows. A client that freezes or disappears in a transaction loses its
/// locks.
fn session(settings: &DatabaseSettings) -> Vec<(&'static str, String)> {
    let millis = |wait: Duration| wait.as_millis().to_string();
    let text = ToOwned::to_owned;
    vec![
        ("lock_timeout", millis(settings.lock_timeout)),
        ("idle_in_transaction_session_timeout", millis(settings.answer_timeout)),
        ("default_transaction_isolation", text("read committed")),
        ("synchronous_commit", text("on")),
        // A client that disappears without closing its socket is detected after a minute instead of two hours.
        ("tcp_keepalives_idle", text("30")),
        ("tcp_keepalives_interval", text("10")),
        ("tcp_keepalives_count", text("3")),
    ]
}

#[cfg(test)]
mod tests;
