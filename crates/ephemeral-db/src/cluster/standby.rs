//! Hot standbys, and failovers to them.

use std::path::Path;

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::{CRASH_SAFE, Cluster, POLL_INTERVAL, READY_TIMEOUT, create_directory, initialized, launch};
use crate::EphemeralDbError;
use crate::account::Account;
use crate::programs::Programs;

/// The settings of a primary that standbys follow, and of its standbys, which may become primaries.
const REPLICATED: &[&str] = &[
    "wal_level=replica",
    "max_wal_senders=8",
    "wal_keep_size=64",
    "hot_standby=on",
    "wal_retrieve_retry_interval=200ms",
];

/// True once commits wait for the standby.
const IS_SYNCHRONOUS: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync')";
const IS_FOLLOWED: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE state = 'streaming')";

impl Cluster {
    /// Starts a cluster like [`Cluster::start_crash_safe`] that hot standbys can follow.
    pub async fn start_replicated() -> Result<Self, EphemeralDbError> {
        Self::start_with(&[CRASH_SAFE, REPLICATED].concat()).await
    }

    /// Starts a hot standby of this cluster, and waits until it follows. It answers reads and refuses writes.
    ///
    /// This cluster must be one of [`Cluster::start_replicated`], or a promoted standby. It may have only one standby.
    pub async fn start_standby(&self) -> Result<Self, EphemeralDbError> {
        let (programs, account) = (Programs::find()?, Account::to_switch_to()?);
        let directory = create_directory(account)?;
        self.copy_to(&directory.path().join("data"), &programs, account).await?;
        let standby = launch(&programs, account, directory, &[CRASH_SAFE, REPLICATED].concat()).await?;
        self.wait_until_true("wait for a standby", IS_FOLLOWED).await?;
        Ok(standby)
    }

    /// Makes this standby a primary, and waits until it accepts writes.
    ///
    /// The former primary must be down by then.
    pub async fn promote(&self) -> Result<(), EphemeralDbError> {
        self.execute("promote a standby", "SELECT pg_promote(true, 60)").await?;
        self.wait_until_true("wait for a promotion", "SELECT NOT pg_is_in_recovery()").await
    }

    /// Makes commits wait until the standby has them, and waits until it has all that were made before.
    ///
    /// From then on a failover to the standby loses no commit that a client knows of.
    pub async fn commit_on_standby(&self) -> Result<(), EphemeralDbError> {
        self.execute("set up a standby", "ALTER SYSTEM SET synchronous_standby_names = '*'").await?;
        self.execute("set up a standby", "SELECT pg_reload_conf()").await?;
        self.wait_until_true("wait for a synchronous standby", IS_SYNCHRONOUS).await?;
        // A commit that waits for the standby comes after all that did not.
        self.execute("wait for a commit on the standby", "SELECT pg_logical_emit_message(true, 'gastown', '')").await
    }

    /// Copies the data of this server, with the settings that make the copy a standby of it.
    async fn copy_to(
        &self,
        data: &Path,
        programs: &Programs,
        account: Option<Account>,
    ) -> Result<(), EphemeralDbError> {
        let mut command = tokio::process::Command::new(&programs.pg_basebackup);
        command.arg("-D").arg(data).arg("-h").arg(&self.directory).args(["-U", "postgres", "-R", "-X", "stream"]);
        command.args(["--checkpoint=fast", "--no-sync"]);
        initialized(command, &programs.pg_basebackup, account).await
    }

    /// Polls a query until it returns true.
    async fn wait_until_true(&self, action: &'static str, query: &'static str) -> Result<(), EphemeralDbError> {
        let failed = |source| EphemeralDbError::Server { action, source };
        let mut connection = PgConnection::connect(&self.url).await.map_err(failed)?;
        let polling = async {
            while !connection.fetch_one(query).await?.try_get::<bool, _>(0)? {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            connection.close().await
        };
        match tokio::time::timeout(READY_TIMEOUT, polling).await {
            Ok(done) => done.map_err(failed),
            Err(_elapsed) => Err(EphemeralDbError::TimedOut { action }),
        }
    }

    async fn execute(&self, action: &'static str, statement: &'static str) -> Result<(), EphemeralDbError> {
        let failed = |source| EphemeralDbError::Server { action, source };
        let mut connection = PgConnection::connect(&self.url).await.map_err(failed)?;
        connection.execute(statement).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }
}
