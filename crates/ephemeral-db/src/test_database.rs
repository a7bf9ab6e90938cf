use std::sync::Arc;

use tempfile::TempDir;

use crate::EphemeralDbError;
use crate::server::Server;
use crate::template::{ServerDatabase, copy_of_migrated};

/// A database for one test. It is removed when the value is dropped, even with open connections.
///
/// ```no_run
/// # async fn example() -> Result<(), ephemeral_db::EphemeralDbError> {
/// async fn migrate(_url: String) -> Result<(), std::io::Error> {
///     Ok(()) // connects, creates the tables, closes the connection
/// }
/// let database = ephemeral_db::TestDatabase::postgres(migrate).await?;
/// println!("{}", database.url());
/// # Ok(())
/// # }
/// ```
pub struct TestDatabase {
    url: String,
    _storage: Storage,
}

/// The owner of the database. Fields are dropped in order, so the copy is dropped before its template.
enum Storage {
    Server { _own: ServerDatabase, _template: Option<Arc<ServerDatabase>> },
    Folder { _folder: TempDir },
}

impl TestDatabase {
    /// Creates a Postgres database that `migrate` has prepared.
    ///
    /// `migrate` gets a URL and must close its connections before it returns. Databases that exist at the same time and
    /// have the same function share one run of it. Each of them is a copy of the result.
    pub async fn postgres<F, Fut, E>(migrate: F) -> Result<Self, EphemeralDbError>
    where
        F: FnOnce(String) -> Fut + 'static,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (own, template) = copy_of_migrated(Server::shared().await?, migrate).await?;
        Ok(Self { url: own.url(), _storage: Storage::Server { _own: own, _template: Some(template) } })
    }

    /// Creates a Postgres database without tables.
    pub async fn empty_postgres() -> Result<Self, EphemeralDbError> {
        let own = ServerDatabase::empty(Server::shared().await?).await?;
        Ok(Self { url: own.url(), _storage: Storage::Server { _own: own, _template: None } })
    }

    /// Creates a SQLite file that `migrate` has prepared.
    pub async fn sqlite<F, Fut, E>(migrate: F) -> Result<Self, EphemeralDbError>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let database = Self::empty_sqlite()?;
        migrate(database.url.clone()).await.map_err(|error| EphemeralDbError::Migrate(error.into()))?;
        Ok(database)
    }

    /// Returns a SQLite database whose file the first connection creates.
    pub fn empty_sqlite() -> Result<Self, EphemeralDbError> {
        let folder = tempfile::Builder::new().prefix("gastown-sqlite-").tempdir();
        let folder = folder.map_err(|source| EphemeralDbError::Prepare { path: std::env::temp_dir(), source })?;
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("gastown.db").display());
        Ok(Self { url, _storage: Storage::Folder { _folder: folder } })
    }

    /// Returns the URL of the database: `postgres://…` or `sqlite://…`.
    pub fn url(&self) -> &str {
        &self.url
    }
}
