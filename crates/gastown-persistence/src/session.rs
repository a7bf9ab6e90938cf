//! The settings of a Postgres session.
//!
//! They are set by statements after connecting, because a pooler may drop the options of the start-up message. Then they are
//! read back, because a pooler may also drop or redirect a SET. A session without them is not used.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

use crate::DatabaseSettings;

/// A session of Postgres has other settings than the service needs.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A setting was not accepted, or is a different one when it is read back.
    #[error(
        "the database session has {name} = {found} instead of {wanted}; a pooler that ignores SET is not supported, use its \
         session mode"
    )]
    Ignored {
        /// The setting of Postgres.
        name: &'static str,
        /// The required value, in the unit of `pg_settings`.
        wanted: String,
        /// The value that was read back.
        found: String,
    },
    /// The settings could not be set or read.
    #[error("failed to set up the database session")]
    Failed(#[source] sqlx::Error),
    /// There was no answer in time.
    #[error("the database did not answer while its session was set up")]
    TimedOut,
}

/// The settings of each session, in the units of `pg_settings`. They override those of server, database and role.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    settings: Arc<Vec<(&'static str, String)>>,
    timeout: Duration,
}

impl Session {
    /// Returns the settings. Commits are durable and statements see committed rows. A client that freezes or disappears in a
    /// transaction loses its locks.
    pub(crate) fn of(settings: &DatabaseSettings) -> Self {
        let millis = |wait: Duration| wait.as_millis().to_string();
        let text = ToOwned::to_owned;
        let values = vec![
            ("statement_timeout", millis(settings.answer_timeout)),
            ("lock_timeout", millis(settings.lock_timeout)),
            ("idle_in_transaction_session_timeout", millis(settings.answer_timeout)),
            ("default_transaction_isolation", text("read committed")),
            ("synchronous_commit", text("on")),
            ("client_encoding", text("UTF8")),
            // A client that disappears without closing its socket is detected after a minute instead of two hours.
            ("tcp_keepalives_idle", text("30")),
            ("tcp_keepalives_interval", text("10")),
            ("tcp_keepalives_count", text("3")),
        ];
        Self { settings: Arc::new(values), timeout: settings.connect_timeout }
    }

    /// Sets the settings and reads them back, with a time limit.
    pub(crate) async fn set_up(&self, connection: &mut PgConnection) -> Result<(), SessionError> {
        let read_back = async {
            connection.execute(AssertSqlSafe(self.statements())).await?;
            let names: Vec<_> = self.settings.iter().map(|(name, _)| format!("'{name}'")).collect();
            let query = format!("SELECT name, setting FROM pg_settings WHERE name IN ({})", names.join(", "));
            let rows = sqlx::raw_sql(AssertSqlSafe(query)).fetch_all(connection).await?;
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<Vec<_>, _>>()
        };
        match tokio::time::timeout(self.timeout, read_back).await {
            Ok(found) => self.compared(&found.map_err(SessionError::Failed)?),
            Err(_elapsed) => Err(SessionError::TimedOut),
        }
    }

    /// Returns one SET for each setting. Names and values are ours and contain no quote.
    fn statements(&self) -> String {
        self.settings.iter().fold(String::new(), |text, (name, value)| text + &format!("SET {name} = '{value}';"))
    }

    fn compared(&self, found: &[(String, String)]) -> Result<(), SessionError> {
        for (name, wanted) in &*self.settings {
            let value = found.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value);
            // A socket of the same machine has no keepalives, and reports 0.
            let is_without_network = name.starts_with("tcp_") && value == "0";
            if value != wanted && !is_without_network {
                return Err(SessionError::Ignored { name, wanted: wanted.clone(), found: value.to_owned() });
            }
        }
        Ok(())
    }
}
