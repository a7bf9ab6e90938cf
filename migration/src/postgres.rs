//! Connections to Postgres, and the words for why there is none.

mod own_session;

use std::time::Duration;

use sea_orm_migration::sea_orm::sqlx::postgres::{PgConnection, PgPoolOptions};
use sea_orm_migration::sea_orm::sqlx::{self, ConnectOptions as _, Connection as _};
use sea_orm_migration::sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use tokio::time::Instant;

use crate::address::PostgresAddress;

/// The pause before another attempt while a server starts or has no free connection.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// The encoding in which all texts can be stored.
const ENCODING: &str = "UTF8";

/// The reason why there is no connection to Postgres. The text contains no part of the address; causes may quote the
/// server, which names user and database.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFailure {
    /// The port is closed.
    #[error("no database server listens at this host and port")]
    NotListening(#[source] sqlx::Error),
    /// The name cannot be resolved.
    #[error("the host name of the database cannot be resolved")]
    UnknownHost(#[source] sqlx::Error),
    /// There was no answer in time.
    #[error("the database did not answer within {limit:?}")]
    TimedOut {
        /// The time limit.
        limit: Duration,
    },
    /// The server, the database or the role has reached its limit of connections.
    #[error("the database has no free connection: the limit of its server or of its role is reached")]
    NoFreeConnection(#[source] sqlx::Error),
    /// The user or the password is wrong, or may not connect.
    #[error("the database refuses the user or the password")]
    Credentials(#[source] sqlx::Error),
    /// The server has no database of this name.
    #[error("there is no such database")]
    NoSuchDatabase(#[source] sqlx::Error),
    /// The server starts, stops or recovers.
    #[error("the database server is starting or stopping")]
    NotReady(#[source] sqlx::Error),
    /// The connection could not be encrypted as the address demands.
    #[error("TLS to the database failed: check sslmode and sslrootcert")]
    Tls(#[source] sqlx::Error),
    /// The database cannot store all texts.
    #[error("the encoding of the database is {found}, but must be {ENCODING}: create the database with that encoding")]
    Encoding {
        /// The encoding of the database.
        found: String,
    },
    /// A pooler gives each transaction another session.
    #[error(
        "the address leads to a pooler in transaction or statement mode (pool_mode of PgBouncer), in which sessions are \
         shared: use its session mode, or connect directly"
    )]
    SharedSessions,
    /// There was no second session in time.
    #[error(
        "the database or its pooler gave no second session within {limit:?}: raise the limit of connections \
         (default_pool_size of PgBouncer)"
    )]
    NoSecondSession {
        /// The time limit.
        limit: Duration,
    },
    /// Any other cause.
    #[error("the connection to the database failed")]
    Other(#[source] sqlx::Error),
}

impl ConnectFailure {
    /// Returns true if another attempt may succeed soon.
    fn may_pass(&self) -> bool {
        match self {
            Self::NotListening(_) | Self::NoFreeConnection(_) | Self::NotReady(_) => true,
            Self::UnknownHost(_)
            | Self::TimedOut { .. }
            | Self::Credentials(_)
            | Self::NoSuchDatabase(_)
            | Self::Tls(_)
            | Self::Encoding { .. }
            | Self::SharedSessions
            | Self::NoSecondSession { .. }
            | Self::Other(_) => false,
        }
    }
}

impl From<sqlx::Error> for ConnectFailure {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(cause) if cause.kind() == std::io::ErrorKind::ConnectionRefused => {
                Self::NotListening(error)
            }
            // The resolver's errors have no kind of their own.
            sqlx::Error::Io(cause) if cause.to_string().contains("lookup address") => Self::UnknownHost(error),
            sqlx::Error::Tls(_) => Self::Tls(error),
            sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
                Some("53300") => Self::NoFreeConnection(error),
                Some("28000" | "28P01") => Self::Credentials(error),
                Some("3D000") => Self::NoSuchDatabase(error),
                Some("57P01" | "57P02" | "57P03") => Self::NotReady(error),
                _ => Self::Other(error),
            },
            _ => Self::Other(error),
        }
    }
}

/// Opens a connection and checks the encoding. Repeats what may pass, until the time limit. Then checks with a second
/// connection that sessions are not shared, with the same limit.
///
/// Errors: the last cause.
pub async fn connect(address: &PostgresAddress, limit: Duration) -> Result<PgConnection, ConnectFailure> {
    let mut connection = connect_in_time(address, limit).await?;
    let checked = ensure_own_session(address, &mut connection, limit / 2);
    tokio::time::timeout(limit, checked).await.unwrap_or(Err(ConnectFailure::NoSecondSession { limit }))?;
    Ok(connection)
}

async fn ensure_own_session(
    address: &PostgresAddress,
    first: &mut PgConnection,
    wait: Duration,
) -> Result<(), ConnectFailure> {
    let mut second = address.options().connect().await?;
    let are_separate = own_session::are_separate(first, &mut second, wait).await?;
    second.close().await?;
    if are_separate { Ok(()) } else { Err(ConnectFailure::SharedSessions) }
}

async fn connect_in_time(address: &PostgresAddress, limit: Duration) -> Result<PgConnection, ConnectFailure> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let failure = match connect_once(address, left).await {
            Err(failure) if failure.may_pass() => failure,
            Err(ConnectFailure::TimedOut { .. }) => return Err(ConnectFailure::TimedOut { limit }),
            done => return done,
        };
        if Instant::now() + RETRY_AFTER >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Opens a connection and checks the encoding, in one attempt.
pub async fn connect_once(address: &PostgresAddress, limit: Duration) -> Result<PgConnection, ConnectFailure> {
    let opened = async {
        let mut connection = address.options().connect().await?;
        match encoding(&mut connection).await? {
            found if found == ENCODING => Ok(connection),
            found => Err(ConnectFailure::Encoding { found }),
        }
    };
    tokio::time::timeout(limit, opened).await.unwrap_or(Err(ConnectFailure::TimedOut { limit }))
}

async fn encoding(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let row = sqlx::raw_sql("SELECT pg_catalog.current_setting('server_encoding')").fetch_one(connection).await?;
    sqlx::Row::try_get(&row, 0)
}

/// Returns a pool that connects when it is used.
pub fn lazy_pool(address: &PostgresAddress, options: PgPoolOptions) -> DatabaseConnection {
    SqlxPostgresConnector::from_sqlx_postgres_pool(options.connect_lazy_with(address.options().clone()))
}
