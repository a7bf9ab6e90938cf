use std::error::Error;
use std::path::PathBuf;

/// An error of a database for tests.
#[derive(Debug, thiserror::Error)]
pub enum EphemeralDbError {
    /// No folder holds both `initdb` and `postgres`.
    #[error(
        "no PostgreSQL server programs (initdb, postgres) in POSTGRES_BIN_DIR, /usr/lib/postgresql/*/bin or PATH; \
         install them (Debian, Ubuntu: `apt-get install postgresql`), or set TEST_DATABASE_URL to a running server"
    )]
    NotInstalled,
    /// There is no `pgbouncer`.
    #[error("no PgBouncer (pgbouncer) in PATH or /usr/sbin; install it (Debian, Ubuntu: `apt-get install pgbouncer`)")]
    PgBouncerNotInstalled,
    /// PgBouncer ended, or was not ready in time.
    #[error("PgBouncer did not become ready; its log:\n{log}")]
    PgBouncerNotReady {
        /// Its log.
        log: String,
    },
    /// This process is root, as which Postgres refuses to run, and there is no other account.
    #[error("PostgreSQL does not run as root; create the account `postgres` or run the tests as another user")]
    NoAccount,
    /// A directory or file of the database could not be created.
    #[error("failed to create {path}")]
    Prepare {
        /// The directory or its parent.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("failed to run {program}")]
    Run {
        /// The program.
        program: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// `initdb` or `pg_basebackup` failed.
    #[error("{program} failed: {output}")]
    Initialize {
        /// The program.
        program: PathBuf,
        /// Its output.
        output: String,
    },
    /// The server ended, or was not ready in time.
    #[error("PostgreSQL did not become ready; its log:\n{log}")]
    NotReady {
        /// Its log.
        log: String,
    },
    /// The server did not end in time after a requested crash.
    #[error("PostgreSQL did not stop; its log:\n{log}")]
    NotEnded {
        /// Its log.
        log: String,
    },
    /// The URL of the server is invalid.
    #[error("TEST_DATABASE_URL or the URL for a proxy or pooler is not a valid postgres:// URL")]
    Url(#[source] Option<url::ParseError>),
    /// The server refused a statement.
    #[error("the test server failed to {action}")]
    Server {
        /// The purpose of the statement.
        action: &'static str,
        /// The error of the driver.
        #[source]
        source: sqlx::Error,
    },
    /// The server did not reach a state in time.
    #[error("the test server failed to {action} in time")]
    TimedOut {
        /// The wait.
        action: &'static str,
    },
    /// The proxy could not listen on a port.
    #[error("the proxy failed to listen")]
    Listen(#[source] std::io::Error),
    /// The caller's migration failed.
    #[error("failed to migrate the test database")]
    Migrate(#[source] Box<dyn Error + Send + Sync>),
}
