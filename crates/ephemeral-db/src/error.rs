use std::error::Error;
use std::path::PathBuf;

/// Why there is no database to test on.
#[derive(Debug, thiserror::Error)]
pub enum EphemeralDbError {
    /// No folder holds both `initdb` and `postgres`.
    #[error(
        "no PostgreSQL server programs (initdb, postgres) in POSTGRES_BIN_DIR, /usr/lib/postgresql/*/bin or PATH; \
         install them (Debian, Ubuntu: `apt-get install postgresql`), or set TEST_DATABASE_URL to a running server"
    )]
    NotInstalled,
    /// Postgres refuses to run as root, and there is nobody else.
    #[error("PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to run it as")]
    NoAccount,
    /// A directory or file of the database could not be made.
    #[error("cannot prepare {path}")]
    Prepare {
        /// What was to be made.
        path: PathBuf,
        /// Why it was not.
        #[source]
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: PathBuf,
        /// Why it did not start.
        #[source]
        source: std::io::Error,
    },
    /// `initdb` said no.
    #[error("initdb failed: {output}")]
    Initdb {
        /// What it printed.
        output: String,
    },
    /// The server ended, or was not ready in time.
    #[error("PostgreSQL did not become ready; its log:\n{log}")]
    NotReady {
        /// What it printed.
        log: String,
    },
    /// The server was to crash and did not end in time.
    #[error("PostgreSQL did not end; its log:\n{log}")]
    NotEnded {
        /// What it printed.
        log: String,
    },
    /// The URL of the server cannot be used.
    #[error("TEST_DATABASE_URL, or what a proxy was given, is no postgres:// URL")]
    Url(#[source] Option<url::ParseError>),
    /// The server refused a statement of ours.
    #[error("the test server failed to {action}")]
    Server {
        /// What was asked of it.
        action: &'static str,
        /// Its answer.
        #[source]
        source: sqlx::Error,
    },
    /// The proxy got no port.
    #[error("the proxy cannot listen")]
    Listen(#[source] std::io::Error),
    /// The caller's migration failed.
    #[error("the test database could not be migrated")]
    Migrate(#[source] Box<dyn Error + Send + Sync>),
}
