use std::sync::Arc;

use tempfile::TempDir;

use crate::EphemeralDbError;
use crate::server::Server;
use crate::template::{ServerDatabase, copy_of_migrated};

/// A database that one test has for itself. It is removed when the value is dropped, whoever is still connected.
///
/// ```no_run
/// # async fn example() -> Result<(), ephemeral_db::EphemeralDbError> {
/// async fn migrate(_url: String) -> Result<(), std::io::Error> {
///     Ok(()) // connect, create the tables, close
/// }
/// let database = ephemeral_db::TestDatabase::postgres(migrate).await?;
/// println!("{}", database.url());
/// # Ok(())
/// # }
/// ```
pub struct TestDatabase {
    url: String,
    _place: Place,
}

/// What keeps the database there; fields are dropped in order, the copy before its template.
enum Place {
    Server { _own: ServerDatabase, _template: Option<Arc<ServerDatabase>> },
    Folder { _folder: TempDir },
}

impl TestDatabase {
    /// A Postgres database that `migrate` has prepared.
    ///
    /// `migrate` gets a URL and must have closed its connections when it returns. It runs once for all databases that
    /// are alive at the same time and name the same function; each of them is a copy of its result.
    pub async fn postgres<F, Fut, E>(migrate: F) -> Result<Self, EphemeralDbError>
    where
        F: FnOnce(String) -> Fut + 'static,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (own, template) = copy_of_migrated(Server::shared().await?, migrate).await?;
        Ok(Self { url: own.url(), _place: Place::Server { _own: own, _template: Some(template) } })
    }

    /// A Postgres database without any table.
    pub async fn empty_postgres() -> Result<Self, EphemeralDbError> {
        let own = ServerDatabase::empty(Server::shared().await?).await?;
        Ok(Self { url: own.url(), _place: Place::Server { _own: own, _template: None } })
    }

    /// A SQLite file that `migrate` has prepared.
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

    /// A SQLite file that does not exist yet; the first connection makes it.
    pub fn empty_sqlite() -> Result<Self, EphemeralDbError> {
        let folder = tempfile::Builder::new().prefix("gastown-sqlite-").tempdir();
        let folder = folder.map_err(|source| EphemeralDbError::Prepare { path: std::env::temp_dir(), source })?;
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("gastown.db").display());
        Ok(Self { url, _place: Place::Folder { _folder: folder } })
    }

    /// How to reach it: `postgres://…` or `sqlite://…`.
    pub fn url(&self) -> &str {
        &self.url
    }
}
