use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;
use url::Url;
use uuid::Uuid;

use crate::{Cluster, EphemeralDbError};

/// The cluster of this process. Statics are never dropped, so its supervisor stops it when the process ends.
static OWN_CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// A server on which databases can be created and dropped.
#[derive(Clone)]
pub(crate) struct Server {
    admin: Url,
}

impl Server {
    /// Returns the server of `TEST_DATABASE_URL`, or else the cluster of this process, which the first call starts.
    pub(crate) async fn shared() -> Result<Self, EphemeralDbError> {
        #[expect(clippy::disallowed_methods, reason = "the server for tests is configured by the environment")]
        let given = std::env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty());
        match given {
            Some(url) => Self::at(&url),
            None => Self::at(OWN_CLUSTER.get_or_try_init(Cluster::start).await?.url()),
        }
    }

    fn at(url: &str) -> Result<Self, EphemeralDbError> {
        let admin = Url::parse(url).map_err(|error| EphemeralDbError::Url(Some(error)))?;
        match admin.scheme() {
            "postgres" | "postgresql" => Ok(Self { admin }),
            _ => Err(EphemeralDbError::Url(None)),
        }
    }

    pub(crate) fn url_of(&self, database: &str) -> String {
        let mut url = self.admin.clone();
        url.set_path(database);
        url.into()
    }

    /// Creates an empty database and returns its name.
    pub(crate) async fn create(&self) -> Result<String, EphemeralDbError> {
        let name = fresh_name();
        self.execute("create a database", &format!("CREATE DATABASE {name}")).await?;
        Ok(name)
    }

    /// Copies the database `template`, which must have no connections, and returns the name of the copy.
    pub(crate) async fn copy(&self, template: &str) -> Result<String, EphemeralDbError> {
        let name = fresh_name();
        // A copy of the files is faster than the default, which logs every page. The option requires Postgres 15.
        let fast = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        let plain = format!("CREATE DATABASE {name} TEMPLATE {template}");
        match self.execute("copy a database", &fast).await {
            Err(EphemeralDbError::Server { source: sqlx::Error::Database(e), .. }) if is_syntax_error(&*e) => {
                self.execute("copy a database", &plain).await?;
            }
            other => other?,
        }
        Ok(name)
    }

    pub(crate) async fn drop_database(&self, name: &str) -> Result<(), EphemeralDbError> {
        self.execute("drop a database", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    async fn execute(&self, action: &'static str, statement: &str) -> Result<(), EphemeralDbError> {
        let failed = |source| EphemeralDbError::Server { action, source };
        let mut connection = PgConnection::connect(self.admin.as_str()).await.map_err(failed)?;
        // The statement contains generated names only: letters, digits and underscores.
        connection.execute(AssertSqlSafe(statement.to_owned())).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }
}

fn is_syntax_error(error: &dyn sqlx::error::DatabaseError) -> bool {
    matches!(error.code().as_deref(), Some("42601"))
}

fn fresh_name() -> String {
    #[expect(clippy::disallowed_methods, reason = "the name only has to be unique")]
    let id = Uuid::new_v4();
    format!("gastown_test_{}", id.simple())
}
