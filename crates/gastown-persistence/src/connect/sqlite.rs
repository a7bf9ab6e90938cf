//! The connections to a SQLite file, or to a database in memory.

use std::time::Duration;

use migration::address::SqliteAddress;
use sea_orm::{ConnectOptions, DatabaseConnection};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

use super::{CHECK_AFTER, ConnectError, DatabaseSettings, Pools, Shares};
use crate::probe::Probe;
use crate::read_connections::ReadConnections;

/// Opens the pools. Without connections for reads, there is one pool for everything.
pub(super) async fn pools(
    settings: &DatabaseSettings,
    address: &SqliteAddress,
    shares: &Shares,
) -> Result<Pools, ConnectError> {
    let connection = open_sqlite(settings, address, shares.others, CHECK_AFTER).await?;
    if shares.reads == 0 {
        let (reads, probe) = (ReadConnections::Pool(connection.clone()), Probe::Sqlite(connection.clone()));
        return Ok(Pools { connection, reads, probe, notifications: None });
    }
    let reads = ReadConnections::Pool(open_sqlite(settings, address, shares.reads, CHECK_AFTER).await?);
    // A probe must not fail because its connection has ended.
    let probe = Probe::Sqlite(open_sqlite(settings, address, 1, Duration::ZERO).await?);
    Ok(Pools { connection, reads, probe, notifications: None })
}

/// Opens a pool of at most this many connections to a file.
async fn open_sqlite(
    settings: &DatabaseSettings,
    address: &SqliteAddress,
    connections: u32,
    check_after: Duration,
) -> Result<DatabaseConnection, ConnectError> {
    let in_memory = address.is_in_memory();
    let mut options = ConnectOptions::new(address.url());
    options
        .max_connections(connections)
        .min_connections(u32::from(in_memory))
        .connect_timeout(settings.connect_timeout)
        .acquire_timeout(settings.connect_timeout)
        .test_before_acquire_if_idle_for(check_after)
        .sqlx_logging(false);
    if in_memory {
        options.idle_timeout(None).max_lifetime(None);
    }
    let lock_timeout = settings.lock_timeout;
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With WAL, NORMAL could lose the last commits in a power failure.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(lock_timeout)
    });
    sea_orm::Database::connect(options).await.map_err(ConnectError::Failed)
}
