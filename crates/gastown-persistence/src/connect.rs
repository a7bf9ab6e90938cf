use std::time::Duration;

use sea_orm::{ConnectOptions, DatabaseConnection, DbErr, RuntimeErr};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, PgConnection};

/// How to reach the database, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite://…`; it may hold a password. A SQLite file is made where it is missing.
    pub url: SecretString,
    /// Most connections at once. A SQLite database in memory always has one.
    pub max_connections: u32,
    /// How long to wait for a new connection, for a free one of the pool, and for one that is given back to it to answer.
    pub connect_timeout: Duration,
    /// How long a call may take in all, retries of its transaction included.
    pub answer_timeout: Duration,
    /// How long one statement may wait for locks of others: Postgres's `lock_timeout`, SQLite's busy time-out.
    pub lock_timeout: Duration,
}

impl DatabaseSettings {
    /// The usual waits for this address: 10 connections, 5 s to connect, 15 s to answer, 5 s for a lock.
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

/// Why there is no connection. Its text never holds the address.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither Postgres nor SQLite.
    #[error("the database's URL begins neither with postgres:// nor with sqlite://")]
    UnknownDatabase,
    /// The address cannot be read.
    #[error("the database's URL is malformed")]
    Malformed,
    /// Nobody answers there, or not as a database should.
    #[error("cannot connect to the database")]
    Failed(#[source] DbErr),
}

/// The registry's database: a pool of connections, cheap to clone.
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
    /// Connects, without changing anything but to create a missing SQLite file.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, ConnectError> {
        let connection = sea_orm::Database::connect(options(settings)?).await.map_err(refused)?;
        Ok(Self { connection, answer_timeout: settings.answer_timeout })
    }

    /// Brings the schema up to date. Safe to call from several replicas at once.
    pub async fn migrate(&self) -> Result<(), migration::MigrateError> {
        migration::up(&self.connection).await
    }

    /// The migrations this program knows and the database lacks, oldest first. Changes nothing.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, migration::MigrateError> {
        let known = migration::status(&self.connection).await?;
        Ok(known.into_iter().filter(|state| !state.applied).map(|state| state.name).collect())
    }

    /// Closes every connection; other clones lose theirs too.
    pub async fn close(self) -> Result<(), ConnectError> {
        self.connection.close().await.map_err(ConnectError::Failed)
    }
}

fn refused(error: DbErr) -> ConnectError {
    match error {
        // Its text quotes the address, password and all.
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
        // It lives as long as its one connection.
        options.idle_timeout(None).max_lifetime(None);
    }
    let patience = settings.connect_timeout;
    options.map_sqlx_postgres_pool_opts(move |pool| {
        pool.after_release(move |connection, _| Box::pin(is_well(connection, patience)))
    });
    let lock_timeout = settings.lock_timeout;
    let session = session(settings);
    options.map_sqlx_postgres_opts(move |postgres| postgres.options(session.clone()));
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With WAL, NORMAL would lose what was committed last when the power fails.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(lock_timeout)
    });
    Ok(options)
}

/// The pool asks a connection that is given back whether it is well, and waits for the answer for ever. Where the network
/// is gone each would take its place in the pool away for as long as the system keeps trying, a quarter of an hour (FM-34).
async fn is_well(connection: &mut PgConnection, patience: Duration) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(patience, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        // An error: it is dropped rather than closed in good order, which would wait too.
        Err(elapsed) => Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed))),
    }
}

/// What Postgres is to hold to in our sessions, whatever its configuration says: what it called committed stays, each
/// statement sees what is committed, and a client that froze or vanished in a transaction gives its locks up.
fn session(settings: &DatabaseSettings) -> Vec<(&'static str, String)> {
    let millis = |wait: Duration| wait.as_millis().to_string();
    let text = ToOwned::to_owned;
    vec![
        ("lock_timeout", millis(settings.lock_timeout)),
        ("idle_in_transaction_session_timeout", millis(settings.answer_timeout)),
        ("default_transaction_isolation", text("read committed")),
        ("synchronous_commit", text("on")),
        // Whoever vanished without closing his socket is missed after a minute instead of two hours.
        ("tcp_keepalives_idle", text("30")),
        ("tcp_keepalives_interval", text("10")),
        ("tcp_keepalives_count", text("3")),
    ]
}

#[cfg(test)]
mod tests;
