use std::time::Duration;

use sea_orm::{ConnectOptions, DatabaseConnection, DbErr, RuntimeErr};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, PgConnection};

/// The address of the database and its time limits.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite://…`, which may contain a password. A missing SQLite file is created.
    pub url: SecretString,
    /// The maximum number of connections. A SQLite database in memory always has one.
    pub max_connections: u32,
    /// The time limit for a new connection, for a free one of the pool, and for the check of a returned one.
    pub connect_timeout: Duration,
    /// The time limit of a call, including retries of its transaction.
    pub answer_timeout: Duration,
    /// The time limit for locks in one statement: `lock_timeout` of Postgres, the busy timeout of SQLite.
    pub lock_timeout: Duration,
}

impl DatabaseSettings {
    /// Returns the default settings for an address: 10 connections, 5 s to connect, 15 s to answer, 5 s for a lock.
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: 10,
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

/// The database of the registry: a pool of connections that is cheap to clone.
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
    pub(crate) connection: DatabaseConnection,
    pub(crate) answer_timeout: Duration,
}

impl Database {
    /// Connects. Changes nothing, except that it creates a missing SQLite file.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, ConnectError> {
        let connection = sea_orm::Database::connect(options(settings)?).await.map_err(refused)?;
        Ok(Self { connection, answer_timeout: settings.answer_timeout })
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
        self.connection.close().await.map_err(ConnectError::Failed)
    }
}

fn refused(error: DbErr) -> ConnectError {
    match error {
        // The text of this error quotes the address with its password.
        DbErr::Conn(RuntimeErr::Internal(_)) => ConnectError::Malformed,
        other => ConnectError::Failed(other),
    }
}

fn options(settings: &DatabaseSettings) -> Result<ConnectOptions, ConnectError> {
    let url = migration::at_url::driver_url(settings.url.expose_secret()).ok_or(ConnectError::UnknownDatabase)?;
    let in_memory = url.starts_with("sqlite:") && url.contains(":memory:");
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(if in_memory { 1 } else { settings.max_connections })
        .min_connections(u32::from(in_memory))
        .connect_timeout(settings.connect_timeout)
        .acquire_timeout(settings.connect_timeout)
        .set_application_name("gastown")
        .statement_timeout(settings.answer_timeout)
        .sqlx_logging(false);
    if in_memory {
        // The database exists only as long as its one connection.
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
async fn is_alive(connection: &mut PgConnection, timeout: Duration) -> Result<bool, sqlx::Error> {
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
